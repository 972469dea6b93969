// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"io/fs"
	"slices"
)

// stage is one half of the correlator and what it does not know: the constants of these
// types of the event's package.
type stage struct {
	dir     string
	unknown []string
	why     string
}

func stages() []stage {
	return []stage{
		{"correlate", hookTypes(), "pairing and judging knows no hook, ask package packet"},
		{"correlate/packet", []string{"Type"}, "following a packet does not depend on what the packet is for"},
	}
}

// CheckStages finds what one half of the correlator must leave to the other, so that
// other kinds of packet than echoes only need another policy. Tests are not checked.
func CheckStages(root fs.FS) ([]string, error) {
	byDir, err := packages(root)
	if err != nil {
		return nil, err
	}
	module := &moduleTypes{root: root, byDir: byDir, fset: token.NewFileSet(), checked: map[string]*types.Package{}}
	var broken []string
	for _, s := range stages() {
		found, err := module.knows(s, byDir[s.dir].source)
		if err != nil {
			return nil, err
		}
		broken = append(broken, found...)
	}
	return broken, nil
}

// knows finds the uses of constants that a stage should not know.
func (m *moduleTypes) knows(s stage, names []string) ([]string, error) {
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	if _, _, err := m.check(s.dir, names, info); err != nil {
		return nil, err
	}
	var broken []string
	for ident, object := range info.Uses {
		if constant, is := object.(*types.Const); is && ofEvent(constant.Type(), s.unknown) {
			at := m.fset.Position(ident.Pos())
			broken = append(broken, fmt.Sprintf("%s:%d uses event.%s: %s", at.Filename, at.Line, ident.Name, s.why))
		}
	}
	slices.Sort(broken)
	return broken, nil
}

// ofEvent reports whether t is one of the named types of the event's package.
func ofEvent(t types.Type, names []string) bool {
	named, isNamed := types.Unalias(t).(*types.Named)
	if !isNamed || named.Obj().Pkg() == nil {
		return false
	}
	return named.Obj().Pkg().Path() == Module+hookPackage && slices.Contains(names, named.Obj().Name())
}
