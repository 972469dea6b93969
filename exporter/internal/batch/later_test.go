// SPDX-License-Identifier: Apache-2.0

package batch_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/internal/batch"
	"github.com/dwelltrace/dwell/exporter/internal/spool"
)

// TestSpoolLate exports nothing at all, and then the spool can be used after ten minutes: what
// an earlier process has left in it is sent without anything else to wake the sender, and the
// tries to open it are not more than one in half a minute.
func TestSpoolLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "spool")
		earlier, one := openSpool(t, dir), exporter.Count{Traces: 1, Spans: 1}
		for i := range 3 {
			earlier.Accept(one)
			if err := earlier.Append(spool.Batch{Payload: ids()(nil, []*trace.Trace{numbered(i)}), Count: one}); err != nil {
				t.Fatal(err)
			}
		}
		earlier.Close()
		if err := errors.Join(os.Rename(dir, dir+"-away"), os.WriteFile(dir, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
		s := spool.OpenAnyhow(spool.Options{Spool: exporter.Spool{Dir: dir}})
		defer s.Close()
		r := &backend{start: time.Now()}
		b := batch.NewSpooled(exporter.Queue{}, spoolOptions(s, r))
		time.Sleep(10 * time.Minute) //nolint:forbidigo // the bubble's clock, not ours
		if err := errors.Join(os.Remove(dir), os.Rename(dir+"-away", dir)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(31 * time.Second) //nolint:forbidigo // the same
		synctest.Wait()
		if diff := cmp.Diff([]int{0, 1, 2}, r.got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if got := b.Stats(); got.Recovered.Traces != 3 || got.Sent.Traces != 3 || got.SpoolsFailing != 0 {
			t.Errorf("%+v", got)
		}
		b.Shutdown(t.Context())
	})
}
