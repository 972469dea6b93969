// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"context"
	"fmt"
	"io"

	tea "charm.land/bubbletea/v2"
)

// framesPerSecond bounds how often the terminal is written to.
const framesPerSecond = 10

// Run shows the view on a terminal until the user quits or ctx is done, which is not an error.
// The feed's Handle is called with each message before the view is. The terminal is left as it was
// found.
func Run(ctx context.Context, o Options, feed Feed, in io.Reader, out io.Writer) error {
	p := tea.NewProgram(New(o), tea.WithInput(in), tea.WithOutput(out),
		tea.WithFPS(framesPerSecond), tea.WithoutSignalHandler())
	// tea.WithContext would end the program while it still reads the terminal.
	defer context.AfterFunc(ctx, p.Quit)()
	handle := feed.Handle
	feed.Handle = func(m Message) {
		if handle != nil {
			handle(m)
		}
		p.Send(m)
	}
	feeding, stop := context.WithCancel(ctx)
	failed := make(chan error, 1)
	go func() {
		err := feed.Run(feeding)
		if err != nil {
			p.Quit()
		}
		failed <- err
	}()
	_, err := p.Run()
	stop()
	if feedErr := <-failed; feedErr != nil {
		return feedErr
	}
	if err != nil {
		return fmt.Errorf("the terminal: %w", err)
	}
	return nil
}
