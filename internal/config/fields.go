// SPDX-License-Identifier: Apache-2.0

package config

// Field documents one setting or, if Path is that of a section, what its settings have in
// common. docs/configuration.md and the example are made of these.
type Field struct {
	Path string
	// Doc is in Markdown, and its first sentence stands alone.
	Doc string
	// Example is a value that differs from the default, or "".
	Example string
	// Restart is set if a reload does not change it.
	Restart bool
}

// Fields returns the documentation in the order of the settings.
func Fields() []Field {
	var all []Field
	for _, section := range [][]Field{
		hostFields(), traceFields(), samplingFields(), exportFields(), queueFields(), metricsFields(), otherFields(),
	} {
		all = append(all, section...)
	}
	return all
}

func hostFields() []Field {
	return []Field{
		{Path: "host", Doc: "What this host is called in traces and metrics."},
		{
			Path: "host.id", Example: "hypervisor-7", Restart: true,
			Doc: "The attribute `host.id`, and what makes span IDs unique among hosts. Default: the machine ID (machine-id(5)), or the host's name where there is none, as in a container.",
		},
		{
			Path: "host.name", Example: "hypervisor-7", Restart: true,
			Doc: "The attribute `host.name` and the metrics' label `host_name`. Default: what uname(2) says.",
		},
	}
}

func traceFields() []Field {
	return []Field{
		{Path: "trace", Doc: "What is looked at. A network namespace is meant by its name in /run/netns, its container's name, a path, the number of a process in it, or `host`; `*`, `?` and `[...]` in a name make it a glob. Namespaces are looked up again whenever some come or go; a name without a namespace is no error, and is counted in `dwell_agent_scope_unresolved`."},
		{Path: "trace.netns", Example: `["host", "tenant-*"]`, Doc: "The network namespaces in which packets are looked at. Default: all."},
		{Path: "trace.interfaces", Example: `["ens3", "br0"]`, Doc: "The interfaces at which packets are looked at, by name. Default: all."},
		{Path: "trace.addresses", Example: `["192.0.2.0/24", "2001:db8::1"]`, Doc: "Only pings from or to these addresses or prefixes are traced. Default: all."},
		{Path: "trace.hypervisors", Example: `["hypervisor"]`, Doc: "The network namespaces that are hypervisors. Default: the host's own."},
		{Path: "trace.netfilter", Example: `["none"]`, Doc: "The network namespaces in which the netfilter chains are timed, which needs Linux 6.4 and CAP_NET_ADMIN; `none`: nowhere. Default: the hypervisors, if the kernel can."},
		{Path: "trace.timeout", Example: "5s", Restart: true, Doc: "How long a reply is waited for."},
		{Path: "trace.ring_size", Example: "128MiB", Restart: true, Doc: "The size of the kernel's ring buffer, rounded up to a power of two. In a flood of pings, three times as much may wait in memory. Make it larger if `dwell_agent_events_lost_total` grows."},
		{Path: "trace.vxlan_ports", Example: "[4789]", Restart: true, Doc: "The UDP ports that carry VXLAN; at most 8, and none if the list is empty."},
	}
}

func samplingFields() []Field {
	return []Field{
		{Path: "sampling", Doc: "Which traces are sent. Metrics count all pings all the same."},
		{Path: "sampling.ratio", Example: "0.01", Doc: "The share of the traces that are sent, between 0 and 1. It is decided by the trace ID, so that every host with the same ratio sends the same traces; dropped and incomplete ones are always sent."},
		{Path: "sampling.keep_slower_than", Example: "1ms", Doc: "Traces of pings that took longer than this are always sent; 0s: only by the ratio."},
	}
}

func exportFields() []Field {
	return []Field{
		{Path: "export", Doc: "Where traces go. Without an endpoint and without a file there are only metrics."},
		{Path: "export.otlp", Doc: "An OpenTelemetry endpoint. What is not set here is as OpenTelemetry's own variables say, `OTEL_EXPORTER_OTLP_*`."},
		{
			Path: "export.otlp.endpoint", Example: "https://collector.example.net:4317",
			Doc: "An OTLP/gRPC endpoint: `host:port`, `http://host:port`, or `https://host:port` for TLS; the port's default is 4317. Default: what `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` or `OTEL_EXPORTER_OTLP_ENDPOINT` says; if neither is set, traces are not sent.",
		},
		{
			Path: "export.otlp.headers", Example: `{authorization: "Bearer ${file:/etc/dwell/token}"}`,
			Doc: "Headers of each request. In a value, `${env:NAME}` is a variable of the environment and `${file:PATH}` is what a file holds, both read again on a reload; `$$` is a dollar sign. Default: `OTEL_EXPORTER_OTLP_HEADERS`.",
		},
		{Path: "export.otlp.timeout", Example: "30s", Doc: "How long one request may take, retries included; 0s: `OTEL_EXPORTER_OTLP_TIMEOUT`, or 10s."},
		{Path: "export.otlp.tls", Doc: "TLS of the endpoint. The files are read again on a reload."},
		{Path: "export.otlp.tls.ca_file", Example: "/etc/dwell/ca.pem", Doc: "The certificates, as PEM, that the endpoint's is checked by. Default: the system's."},
		{Path: "export.otlp.tls.cert_file", Example: "/etc/dwell/agent.pem", Doc: "Our own certificate, as PEM, for an endpoint that asks for one."},
		{Path: "export.otlp.tls.key_file", Example: "/etc/dwell/agent.key", Doc: "The private key of cert_file, as PEM."},
		{Path: "export.otlp.tls.insecure", Example: "true", Doc: "`true` is plain text, `false` is TLS. `auto` goes by the endpoint's http:// or https://; without either it is TLS if a file is named here or by OpenTelemetry's variables, and plain text if not."},
	}
}

func queueFields() []Field {
	return []Field{
		{Path: "export.queue", Doc: "What waits in memory. What finds no room there is dropped as whole traces, and counted in `dwell_agent_export_spans_lost_total`."},
		{Path: "export.queue.spans", Example: "65536", Doc: "How many spans may wait, those being sent included. A span takes about 300 bytes."},
		{Path: "export.queue.batch_spans", Example: "512", Doc: "How many spans are sent at once; never more than half of export.queue.spans."},
		{Path: "export.queue.delay", Example: "1s", Doc: "How long a span may wait for its batch to fill."},
		{Path: "export.spool", Doc: "Where traces wait on disk while the endpoint is away."},
		{Path: "export.spool.dir", Example: "/var/lib/dwell/spool", Doc: "The directory, which is made if it is not there. Only one agent at a time can have it. Default: no spool."},
		{Path: "export.spool.max_bytes", Example: "4GiB", Doc: "How much the spool may hold. The oldest traces go first, and are counted."},
		{Path: "export.file", Example: "/var/log/dwell/traces.jsonl", Doc: "A file for traces as lines of OTLP/JSON, which a Collector's otlpjsonfile receiver reads; an existing file is overwritten; `-` is standard output. Default: none."},
	}
}

func metricsFields() []Field {
	return []Field{
		{Path: "metrics", Doc: "What is counted of all pings, and who gets it. [metrics.md](metrics.md) lists the metrics."},
		{Path: "metrics.prometheus", Doc: "The endpoint /metrics at http.listen."},
		{Path: "metrics.prometheus.enabled", Example: "false", Doc: "Whether there is one."},
		{Path: "metrics.otlp", Doc: "Sending over OTLP/gRPC, with headers and TLS as for traces."},
		{Path: "metrics.otlp.enabled", Example: "true", Doc: "Whether metrics are sent."},
		{Path: "metrics.otlp.endpoint", Example: "http://collector.example.net:4317", Doc: "Where to. Default: export.otlp.endpoint, or what `OTEL_EXPORTER_OTLP_METRICS_ENDPOINT` or `OTEL_EXPORTER_OTLP_ENDPOINT` says."},
		{Path: "metrics.otlp.interval", Example: "15s", Doc: "How often."},
		{Path: "metrics.max_series", Example: "10000", Doc: "How many series one metric may have, at least 2. What is beyond goes into one series with the attribute `otel.metric.overflow`."},
		{Path: "metrics.buckets", Example: "[1us, 10us, 100us, 1ms, 10ms]", Doc: "The upper bounds of the histograms' classic buckets, rising. Native histograms have buckets of their own. Default: as metrics.md lists them."},
		{Path: "metrics.expire", Example: "10m", Doc: "A series that nothing was added to for so long is forgotten, as that of a namespace that is gone. It should be no shorter than the longest range that alerts look at."},
	}
}

func otherFields() []Field {
	return []Field{
		{Path: "http", Doc: "The agent's own HTTP server, for metrics and health. It has no access control: whoever can reach it can read the names of namespaces and interfaces."},
		{Path: "http.listen", Example: "0.0.0.0:9464", Restart: true, Doc: "Address and port, `:9464` for all addresses; empty: no server."},
		{Path: "containers", Doc: "Network namespaces that belong to a container are called by its name."},
		{Path: "containers.enabled", Example: "false", Restart: true, Doc: "Whether containers are looked for."},
		{Path: "containers.sockets", Example: `["/run/containerd/containerd.sock"]`, Restart: true, Doc: "The sockets of container runtimes that are asked for names; `none`: containers go by their IDs. Default: those of docker, containerd, CRI-O and podman at their usual places."},
		{Path: "log", Doc: "What is logged on standard error."},
		{Path: "log.level", Example: "debug", Doc: "`debug`, `info`, `warn` or `error`."},
		{Path: "log.format", Example: "json", Restart: true, Doc: "`text` (key=value) or `json`, one line a message."},
		{Path: "shutdown", Doc: "What happens on SIGTERM: the programs are detached, the open pings closed, and what waits is sent."},
		{Path: "shutdown.timeout", Example: "30s", Doc: "How long the end may take. What could not be sent by then stays in the spool if there is one, and is else counted in the last line of the log."},
	}
}
