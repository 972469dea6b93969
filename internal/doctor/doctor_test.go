// SPDX-License-Identifier: Apache-2.0

package doctor_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/bpf"
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/event/eventtest"
	"github.com/dwelltrace/dwell/internal/doctor"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
)

// arguments are the kernel's tracepoints, and how many arguments they have.
var arguments = map[string]int{
	"net_dev_queue": 1, "net_dev_start_xmit": 2, "net_dev_xmit": 4, "netif_rx": 1, "napi_gro_receive_entry": 1,
	"netif_receive_skb": 1, "kfree_skb": 3, "skb_copy_datagram_iovec": 2,
}

const allCaps = "CapEff:\t000001ffffffffff\n"

// machine is one on which everything works, for a test to break.
func machine(t *testing.T) (doctor.System, fstest.MapFS) {
	t.Helper()
	root := fstest.MapFS{
		"proc/self/status":                 {Data: []byte(allCaps)},
		"proc/self/uid_map":                {Data: []byte("         0          0 4294967295\n")},
		"proc/sys/net/core/bpf_jit_enable": {Data: []byte("1\n")},
		"sys/kernel/btf/vmlinux":           {Data: kernelTypes(t, true, arguments)},
		"sys/kernel/security/lockdown":     {Data: []byte("none [integrity] confidentiality\n")},
		"run/netns":                        {Mode: fs.ModeDir | 0o755},
	}
	works := func() error { return nil }
	return doctor.System{
		Root: root, Release: "6.1.0-41-amd64",
		Tracing: works, RingBuffer: works, Load: works, Firewall: works, FastPath: works, Hooks: event.All(),
	}, root
}

// kernelTypes is the BTF of a kernel with the given tracepoints and their arguments.
func kernelTypes(t *testing.T, reasons bool, tracepoints map[string]int) []byte {
	t.Helper()
	var types []btf.Type
	void := &btf.Pointer{Target: (*btf.Void)(nil)}
	for name, arguments := range tracepoints {
		// The first parameter is the tracepoint's private data.
		params := slices.Repeat([]btf.FuncParam{{Type: void}}, 1+arguments)
		proto := &btf.FuncProto{Return: (*btf.Void)(nil), Params: params}
		types = append(types, &btf.Typedef{Name: "btf_trace_" + name, Type: &btf.Pointer{Target: proto}})
	}
	if reasons {
		types = append(types, &btf.Enum{Name: "skb_drop_reason", Size: 4, Values: []btf.EnumValue{
			{Name: "SKB_NOT_DROPPED_YET"}, {Name: "SKB_CONSUMED", Value: 1},
		}})
	}
	builder, err := btf.NewBuilder(types, nil)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := builder.Marshal(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// with are the kernel's tracepoints, one of them with other arguments, or without it if
// they are fewer than none.
func with(tracepoint string, n int) map[string]int {
	other := maps.Clone(arguments)
	other[tracepoint] = n
	if n < 0 {
		delete(other, tracepoint)
	}
	return other
}

func TestExamineFit(t *testing.T) {
	sys, _ := machine(t)
	report := doctor.Examine(sys)
	if !report.Fit() {
		t.Errorf("not fit: %v", report)
	}
	for _, f := range report {
		if f.Status != doctor.OK || f.Remedy != "" || f.Detail == "" {
			t.Errorf("%+v, want ok, a detail and no remedy", f)
		}
	}
}

func TestExamineUnfit(t *testing.T) {
	denied := fmt.Errorf("map create: %w", fs.ErrPermission)
	missing := fmt.Errorf("ring buffer: %w", ebpf.ErrNotSupported)
	rejected := errors.New("program dwell: invalid argument\n\tR1 !read_ok\n\tprocessed 1 insn")
	tests := map[string]struct {
		breaks func(t *testing.T, sys *doctor.System, root fstest.MapFS)
		// want are parts of lines that the report must have, other than ok ones.
		want []string
	}{
		"not root": {
			func(_ *testing.T, _ *doctor.System, root fstest.MapFS) {
				root["proc/self/status"].Data = []byte("CapEff:\t0000000000000000\n")
			},
			[]string{
				"FAIL CAP_BPF missing, needed for loading", "FAIL CAP_PERFMON", "warn CAP_SYS_ADMIN", "warn CAP_SYS_PTRACE",
				"warn CAP_NET_ADMIN", "warn CAP_NET_RAW missing, needed for sending pings: demo → run as root or grant CAP_NET_RAW",
				"warn BPF tracing programs not tried without CAP_BPF", "warn BPF ring buffer not tried", "warn load and attach not tried", "warn firewall of tenants not tried",
			},
		},
		"no proc": {
			func(_ *testing.T, _ *doctor.System, root fstest.MapFS) { delete(root, "proc/self/status") },
			[]string{
				"FAIL capabilities open proc/self/status: file does not exist → mount /proc",
				"warn BPF tracing programs", "warn BPF ring buffer", "warn load and attach", "warn firewall of tenants",
			},
		},
		"rootless container": {
			func(_ *testing.T, _ *doctor.System, root fstest.MapFS) {
				root["proc/self/uid_map"].Data = []byte("0 1000 1\n1 100000 65536\n")
			},
			[]string{"FAIL user namespace not the initial one"},
		},
		"old kernel": {
			func(t *testing.T, sys *doctor.System, root fstest.MapFS) {
				sys.Release = "5.4.0-150-generic"
				sys.RingBuffer = func() error { return missing }
				root["sys/kernel/btf/vmlinux"].Data = kernelTypes(t, false, with("kfree_skb", 2))
			},
			[]string{
				"warn kernel release 5.4.0-150-generic is older than 5.17",
				"FAIL tracepoint kfree_skb with 3 arguments: not in this kernel → run a mainline or distribution kernel, 5.17 or later",
				"FAIL drop reasons this kernel does not say why it drops a packet → run kernel 5.17 or later",
				"FAIL BPF ring buffer ring buffer: not supported → run kernel 5.17 or later",
			},
		},
		"odd release": {
			func(_ *testing.T, sys *doctor.System, _ fstest.MapFS) { sys.Release = "custom" },
			[]string{`warn kernel release kernel release "custom"`},
		},
		"no BTF": {
			func(_ *testing.T, _ *doctor.System, root fstest.MapFS) { delete(root, "sys/kernel/btf/vmlinux") },
			[]string{"FAIL kernel BTF no /sys/kernel/btf/vmlinux → run a kernel built with CONFIG_DEBUG_INFO_BTF=y"},
		},
		"broken BTF": {
			func(_ *testing.T, _ *doctor.System, root fstest.MapFS) {
				root["sys/kernel/btf/vmlinux"].Data = []byte("not BTF")
			},
			[]string{"FAIL kernel BTF"},
		},
		"a tracepoint less": {
			func(t *testing.T, _ *doctor.System, root fstest.MapFS) {
				root["sys/kernel/btf/vmlinux"].Data = kernelTypes(t, true, with("net_dev_queue", -1))
			},
			[]string{"FAIL tracepoint net_dev_queue: not in this kernel"},
		},
		"a hook more than the kernel has": {
			func(_ *testing.T, sys *doctor.System, _ fstest.MapFS) {
				sys.Hooks = sys.Hooks.With(eventtest.MadeUp())
			},
			[]string{
				"warn kernel release 6.1.0-41-amd64 is older than 99.9",
				"FAIL tracepoint made_up: not in this kernel → run a mainline or distribution kernel, 99.9 or later",
			},
		},
		"programs that the kernel lacks something for": {
			func(_ *testing.T, sys *doctor.System, _ fstest.MapFS) {
				sys.Load = func() error {
					return &bpf.UnsupportedError{Feature: "magic", Minimum: event.Version{Major: 7, Minor: 1}}
				}
			},
			[]string{"FAIL load and attach magic not supported: Linux 7.1 or later is needed → run kernel 7.1 or later"},
		},
		"programs that the kernel was built without something for": {
			func(_ *testing.T, sys *doctor.System, _ fstest.MapFS) {
				sys.Load = func() error {
					return &bpf.UnsupportedError{Feature: "magic", Minimum: event.Version{Major: 5, Minor: 5}, Config: "CONFIG_MAGIC"}
				}
			},
			[]string{"FAIL load and attach magic not supported: Linux 5.5 or later is needed, built with CONFIG_MAGIC → run kernel 5.5 or later, built with CONFIG_MAGIC"},
		},
		"locked down": {
			func(_ *testing.T, _ *doctor.System, root fstest.MapFS) {
				root["sys/kernel/security/lockdown"].Data = []byte("none integrity [confidentiality]\n")
			},
			[]string{"FAIL kernel lockdown confidentiality forbids"},
		},
		"JIT off": {
			func(_ *testing.T, _ *doctor.System, root fstest.MapFS) {
				root["proc/sys/net/core/bpf_jit_enable"].Data = []byte("0\n")
			},
			[]string{"warn BPF JIT off: tracing costs several times more → sysctl -w net.core.bpf_jit_enable=1"},
		},
		"JIT not to be seen": {
			func(_ *testing.T, _ *doctor.System, root fstest.MapFS) {
				delete(root, "proc/sys/net/core/bpf_jit_enable")
			},
			[]string{"warn BPF JIT not known"},
		},
		"run/netns is a file": {
			func(_ *testing.T, _ *doctor.System, root fstest.MapFS) { root["run/netns"] = &fstest.MapFile{} },
			[]string{"warn namespace names"},
		},
		"bpf(2) forbidden": {
			func(_ *testing.T, sys *doctor.System, _ fstest.MapFS) { sys.Tracing = func() error { return denied } },
			[]string{"FAIL BPF tracing programs map create: permission denied → allow bpf(2)"},
		},
		"verifier refuses": {
			func(_ *testing.T, sys *doctor.System, _ fstest.MapFS) { sys.Load = func() error { return rejected } },
			[]string{"FAIL load and attach program dwell: invalid argument → report it"},
		},
		"no firewall": {
			func(_ *testing.T, sys *doctor.System, _ fstest.MapFS) {
				sys.Firewall = func() error { return rejected }
			},
			[]string{"warn firewall of tenants program dwell: invalid argument → run kernel 6.1 or later if programs"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			sys, root := machine(t)
			test.breaks(t, &sys, root)
			report := doctor.Examine(sys)
			if wantFit := !strings.Contains(strings.Join(test.want, "\n"), "FAIL"); report.Fit() != wantFit {
				t.Errorf("fit: %t, want %t", report.Fit(), wantFit)
			}
			checkLines(t, report, test.want)
		})
	}
}

// checkLines wants the findings that are not ok to be those wanted, in order.
func checkLines(t *testing.T, report doctor.Report, want []string) {
	t.Helper()
	var text strings.Builder
	if err := report.WriteText(&text, false); err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(text.String()) {
		if line = strings.Join(strings.Fields(line), " "); !strings.HasPrefix(line, "ok ") {
			got = append(got, line)
		}
	}
	for i, line := range got {
		if i >= len(want) || !strings.HasPrefix(line, want[i]) || !strings.Contains(line, " → ") {
			t.Fatalf("line %d of\n%s\nwant remedies and\n%s", i+1, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	if len(got) != len(want) {
		t.Fatalf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestWriteText(t *testing.T) {
	report := doctor.Report{
		{Status: doctor.OK, Name: "kernel BTF", Detail: "there"},
		{Status: doctor.Fail, Name: "CAP_BPF", Detail: "missing", Remedy: "run as root"},
	}
	tests := map[bool]string{
		false: "ok    kernel BTF  there\nFAIL  CAP_BPF     missing  → run as root\n",
		true: "\x1b[32mok  \x1b[0m  kernel BTF  there\n" +
			"\x1b[31;1mFAIL\x1b[0m  CAP_BPF     missing  → run as root\n",
	}
	for colour, want := range tests {
		var got strings.Builder
		if err := report.WriteText(&got, colour); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got.String()); diff != "" {
			t.Errorf("colour %t (-want +got):\n%s", colour, diff)
		}
	}
}

func TestWriteTextSaysWhenItCannot(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	if err := (doctor.Report{{Name: "any"}}).WriteText(full, false); err == nil {
		t.Error("wrote to a full disk")
	}
}

func TestWriteJSON(t *testing.T) {
	want := doctor.Report{{Status: doctor.Fail, Name: "CAP_BPF", Detail: "<missing>", Remedy: "run as root"}}
	var text strings.Builder
	if err := want.WriteJSON(&text); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Fit    *bool
		Checks doctor.Report
	}
	if err := json.Unmarshal([]byte(text.String()), &got); err != nil {
		t.Fatal(err)
	}
	if got.Fit == nil || *got.Fit {
		t.Errorf("fit in %s, want false", text.String())
	}
	if diff := cmp.Diff(want, got.Checks); diff != "" {
		t.Errorf("checks (-want +got):\n%s", diff)
	}
}

// The kernel that the tests run on is asked for real.
func TestHost(t *testing.T) {
	privilegetest.BPF(t)
	loaded := 0
	sys, err := doctor.Host(func() error { loaded++; return nil })
	if err != nil {
		t.Fatal(err)
	}
	report := doctor.Examine(sys)
	if !report.Fit() || loaded != 1 {
		t.Errorf("loaded %d times; report %v", loaded, report)
	}
}
