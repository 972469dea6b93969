// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"math"
	"strconv"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"

	"github.com/dwelltrace/dwell/internal/study/bench"
)

// pngScale is how many pixels of the PNG make one of the scene.
const pngScale = 2

// PNG draws the chart in the light scheme.
func PNG(w io.Writer, r *bench.Result) error {
	img, err := rasterise(chart(r))
	if err != nil {
		return err
	}
	return png.Encode(w, img)
}

func rasterise(s scene) (image.Image, error) {
	c := canvas{
		img:    image.NewRGBA(image.Rect(0, 0, int(math.Ceil(s.width*pngScale)), int(math.Ceil(s.height*pngScale)))),
		shades: shades(), faces: map[faceKey]font.Face{},
	}
	draw.Draw(c.img, c.img.Bounds(), c.ink(inkPaper), image.Point{}, draw.Src)
	for _, r := range s.rects {
		draw.Draw(c.img, image.Rect(pixel(r.x), pixel(r.y), pixel(r.x+r.w), pixel(r.y+r.h)), c.ink(r.ink), image.Point{}, draw.Src)
	}
	for _, t := range s.texts {
		if err := c.text(t); err != nil {
			return nil, err
		}
	}
	return c.img, nil
}

type faceKey struct {
	size float64
	bold bool
}

// canvas is a picture in the making.
type canvas struct {
	img    *image.RGBA
	shades map[ink]shade
	faces  map[faceKey]font.Face
}

func pixel(v float64) int { return int(math.Round(v * pngScale)) }

// ink returns the colour in the light scheme. That each ink has one of six digits is
// tested.
func (c *canvas) ink(name ink) image.Image {
	rgb, err := strconv.ParseUint(c.shades[name].light[1:], 16, 24)
	if err != nil {
		rgb = 0
	}
	return image.NewUniform(color.RGBA{uint8(rgb >> 16), uint8(rgb >> 8), uint8(rgb), 0xff})
}

func (c *canvas) text(t label) error {
	face, err := c.face(faceKey{t.size, t.bold})
	if err != nil {
		return err
	}
	d := font.Drawer{Dst: c.img, Src: c.ink(t.ink), Face: face}
	x := fixed.I(pixel(t.x))
	switch t.anchor {
	case middle:
		x -= d.MeasureString(t.text) / 2
	case end:
		x -= d.MeasureString(t.text)
	}
	d.Dot = fixed.Point26_6{X: x, Y: fixed.I(pixel(t.y))}
	d.DrawString(t.text)
	return nil
}

// face returns the Go font of a size, which has all characters that names here have.
func (c *canvas) face(k faceKey) (font.Face, error) {
	if f, ok := c.faces[k]; ok {
		return f, nil
	}
	ttf := goregular.TTF
	if k.bold {
		ttf = gobold.TTF
	}
	parsed, err := opentype.Parse(ttf)
	if err != nil {
		return nil, fmt.Errorf("font: %w", err)
	}
	f, err := opentype.NewFace(parsed, &opentype.FaceOptions{Size: k.size * pngScale, DPI: 72, Hinting: font.HintingFull})
	if err != nil {
		return nil, fmt.Errorf("font: %w", err)
	}
	c.faces[k] = f
	return f, nil
}
