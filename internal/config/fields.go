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
		hostFields(), traceFields(), samplingFields(), exportFields(), queueFields(), metricsFields(), httpFields(), probingFields(),
		tenancyFields(), apiFields(), firewallFields(), fastPathFields(), otherFields(),
	} {
		all = append(all, section...)
	}
	return all
}

// Elements returns the documentation of the settings that each element of a list has;
// their paths have [] after the list's.
func Elements() []Field { return append(probeFields(), tenantFields()...) }

func hostFields() []Field {
	return []Field{
		{Path: "host", Doc: "How this host is identified in traces and metrics."},
		{
			Path: "host.id", Example: "hypervisor-7", Restart: true,
			Doc: "Sets the attribute `host.id`. It is also one of the things that make span IDs unique among hosts; the others are the kernel's boot ID and, if it can be read, the number that a hypervisor gives to a virtual machine, so that cloned hosts with the same machine ID do not use the same span IDs. Default: the machine ID (see machine-id(5)) or, where there is none, as in many containers, the host name.",
		},
		{
			Path: "host.name", Example: "hypervisor-7", Restart: true,
			Doc: "Sets the attribute `host.name` and the metrics' label `host_name`. Default: the host name that uname(2) returns.",
		},
	}
}

func traceFields() []Field {
	return []Field{
		{Path: "trace", Doc: "What is traced. Network namespaces are specified by their name in /run/netns, the name of their container, a path, the PID of a process in them, or `host`; a name with `*`, `?` or `[...]` is a pattern. These references are resolved again whenever namespaces are created, removed or renamed. A reference that matches nothing is not an error; it is logged, and counted in `dwell_agent_scope_unresolved`."},
		{Path: "trace.netns", Example: `["host", "tenant-*"]`, Doc: "Trace only in these network namespaces. If none of them exists, nothing is traced. Default: all namespaces."},
		{Path: "trace.interfaces", Example: `["ens3", "br0"]`, Doc: "Trace only on these interfaces, in any namespace: names, alternative names (`altname` of ip-link(8)), or patterns of either with `*`, `?` or `[...]`. An interface that only a pattern or an alternative name matches is traced within about a second of its appearance. Pings are then seen only in part, which is not an error: their outcome is `partial`. Default: all interfaces."},
		{Path: "trace.addresses", Example: `["192.0.2.0/24", "2001:db8::1"]`, Doc: "Trace only pings from or to these addresses or prefixes. Default: all pings."},
		{Path: "trace.hypervisors", Example: `["hypervisor"]`, Doc: "The network namespaces that are hypervisors. Default: the host's own."},
		{Path: "trace.netfilter", Example: `["none"]`, Doc: "The network namespaces in which the netfilter chains are timed, or `none`. This requires Linux 6.4 and CAP_NET_ADMIN. Default: the hypervisors, if the kernel supports it."},
		{Path: "trace.timeout", Example: "5s", Restart: true, Doc: "How long to wait for a reply; more than 0. A ping without a reply is then closed as incomplete."},
		{Path: "trace.ring_size", Example: "128MiB", Restart: true, Doc: "Size of the ring buffers of all CPUs together, from 1MiB to 1GiB; each has an equal part, rounded up, of 1 to 256 MiB. A flood of pings takes up to three times as much memory in addition. Increase it if `dwell_agent_events_lost_total` grows."},
		{
			Path: "trace.max_rate", Example: "5000", Restart: true,
			Doc: "How many pings a second to trace, about. Of more, whole pings of those ICMP identifiers that have the most are left out in the kernel, and counted in `dwell_agent_events_gated_total`. What is left is a sample, alike on all hosts with the same trace.key. `auto` traces about 50,000 pings that come at once, and then what a twentieth of the machine's CPU time is enough for, half of one CPU at most. With 0, a long flood loses events of everybody's pings.",
		},
		{Path: "trace.vxlan_ports", Example: "[4789]", Restart: true, Doc: "The UDP ports that carry VXLAN, at most 8. The ports of this host's own VXLAN, Geneve, FOU and GUE devices are known without this, and so are 4790 (VXLAN-GPE), 6081 (Geneve) and 4754 (GRE in UDP)."},
		{
			Path: "trace.key", Example: `"${file:/etc/dwell/trace.key}"`, Restart: true,
			Doc: "The key of the hash from which trace IDs and span IDs are derived: 32 hexadecimal digits, as `openssl rand -hex 16` prints them. Whoever knows it can send pings with trace IDs of their choice. **All hosts need the same key**: with another one, a host computes other IDs for the same ping, and its spans end up in another trace. `${env:NAME}` and `${file:PATH}` are replaced as in export.otlp.headers. Default: a constant that is part of dwell.",
		},
		{
			Path: "trace.root", Example: "host", Restart: true,
			Doc: "Where the spans of a ping that another host sent belong. `sender`: below the root span of the host that sent it, whose ID every host can compute, so that the trace has one root. `host`: below a root span of this host, for pings of senders that are not traced, whose root span never arrives in the backend.",
		},
	}
}

func samplingFields() []Field {
	return []Field{
		{Path: "sampling", Doc: "Which pings are traced, or which traces are exported: see [Sampling](metrics.md#sampling)."},
		{Path: "sampling.at", Example: "export", Doc: "`kernel`: pings are left out before they cost anything, and metrics are of the sample. `export`: all are traced and in the metrics; dropped, incomplete and unreachable ones are always exported."},
		{Path: "sampling.ratio", Example: "0.01", Doc: "The fraction of pings, from 0 to 1. The trace ID decides, so hosts with the same ratio choose alike."},
		{Path: "sampling.keep_slower_than", Example: "1ms", Doc: "Always export pings that took longer than this; needs `at: export`. With 0s, only the ratio decides."},
	}
}

func exportFields() []Field {
	return []Field{
		{Path: "export", Doc: "Where traces go. Without an endpoint and without a file, only metrics are produced."},
		{Path: "export.otlp", Doc: "The OpenTelemetry endpoint. Settings that are left out here are taken from the standard `OTEL_EXPORTER_OTLP_*` variables."},
		{
			Path: "export.otlp.endpoint", Example: "https://collector.example.net:4317",
			Doc: "Address of an OTLP endpoint: `host:port`, `http://host:port`, or `https://host:port` for TLS. The port defaults to 4317. Default: `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, then `OTEL_EXPORTER_OTLP_ENDPOINT`; if neither is set, traces are not sent.",
		},
		{Path: "export.otlp.protocol", Example: "http/protobuf", Doc: "`auto`: as `OTEL_EXPORTER_OTLP_PROTOCOL` says, else and for tenants `grpc`."},
		{
			Path: "export.otlp.headers", Example: `{authorization: "Bearer ${file:/etc/dwell/token}"}`,
			Doc: "Headers to add to each request; capitals in their names are sent as small letters. In a value, `${env:NAME}` is replaced by an environment variable and `${file:PATH}` by the content of a file, which is read again on each reload and whenever the endpoint denies access; `$$` is a dollar sign. Default: `OTEL_EXPORTER_OTLP_HEADERS`.",
		},
		{Path: "export.otlp.compression", Example: "gzip", Doc: "`auto`: as `OTEL_EXPORTER_OTLP_COMPRESSION` says, else and for tenants `none`. `gzip` makes a request about a tenth as large, and costs CPU time."},
		{Path: "export.otlp.timeout", Example: "30s", Doc: "How long to try to send one batch. Without a spool this includes all retries, after which the batch is dropped; with a spool it limits each attempt, and there are as many attempts as needed, less often while access is denied; what is refused as too much (`RESOURCE_EXHAUSTED`), without a time to come back, is dropped after two minutes. With 0s, `OTEL_EXPORTER_OTLP_TIMEOUT` applies or, if it is not set, 10s."},
		{Path: "export.otlp.tls", Doc: "TLS settings of the endpoint. The files are read again on each reload."},
		{Path: "export.otlp.tls.ca_file", Example: "/etc/dwell/ca.pem", Doc: "PEM file with the CA certificates used to verify the endpoint. Default: the system's."},
		{Path: "export.otlp.tls.cert_file", Example: "/etc/dwell/agent.pem", Doc: "PEM file with the agent's client certificate, for endpoints that require one. Needs key_file."},
		{Path: "export.otlp.tls.key_file", Example: "/etc/dwell/agent.key", Doc: "PEM file with the private key of cert_file."},
		{Path: "export.otlp.tls.insecure", Example: "true", Doc: "`true` means plain text, `false` means TLS. `auto` follows the endpoint's http:// or https://; if the endpoint has neither, TLS is used if a file is set here or by OpenTelemetry's variables, and plain text otherwise."},
	}
}

func queueFields() []Field {
	return []Field{
		{Path: "export.queue", Doc: "The queue in memory. When it is full, whole traces are dropped and counted in `dwell_agent_export_spans_lost_total`."},
		{Path: "export.queue.spans", Example: "65536", Doc: "How many spans may be queued, including those being sent; at least 1. A span takes about 300 bytes."},
		{Path: "export.queue.batch_spans", Example: "512", Doc: "How many spans to send in one batch; at least 1, and never more than half of export.queue.spans."},
		{Path: "export.queue.senders", Example: "16", Doc: "How many batches may be under way at the same time, from 1 to 64; more help if it is far away."},
		{Path: "export.queue.delay", Example: "1s", Doc: "How long a span may wait for its batch to fill; more than 0."},
		{Path: "export.spool", Doc: "A queue on disk that holds traces while the endpoint is unavailable."},
		{Path: "export.spool.dir", Example: "/var/lib/dwell/spool", Doc: "The spool's directory, created if it does not exist, for one agent at a time. While it cannot be used, traces wait in memory and it is tried again. Default: no spool."},
		{Path: "export.spool.max_bytes", Example: "4GiB", Doc: "How large the spool may grow; at least 1MiB. When it is full, the oldest traces are dropped and counted."},
		{Path: "export.file", Example: "/var/log/dwell/traces.jsonl", Doc: "A file to append traces to as lines of OTLP/JSON, which a Collector's otlpjsonfile receiver reads; opened anew on SIGHUP; `-` means standard output. Default: none."},
		{Path: "export.rotate", Doc: "Rotation of export.file, for hosts without logrotate(8)."},
		{Path: "export.rotate.max_bytes", Example: "1GiB", Doc: "Size at which the file is renamed to `.1`, an older `.1` to `.2`, and so on; 0B means never."},
		{Path: "export.rotate.keep", Example: "10", Doc: "How many renamed files to keep; at least 1. What is deleted is not counted as lost."},
	}
}

func metricsFields() []Field {
	return []Field{
		{Path: "metrics", Doc: "Metrics of all pings, and where they are published. [metrics.md](metrics.md) lists the metrics."},
		{Path: "metrics.prometheus", Doc: "The Prometheus endpoint, /metrics at http.listen."},
		{Path: "metrics.prometheus.enabled", Example: "false", Doc: "Whether to serve it."},
		{Path: "metrics.otlp", Doc: "Push metrics over OTLP, with the same headers, compression and TLS settings as for traces."},
		{Path: "metrics.otlp.enabled", Example: "true", Doc: "Whether to push metrics."},
		{Path: "metrics.otlp.endpoint", Example: "http://collector.example.net:4317", Doc: "The endpoint to push to. Default: export.otlp.endpoint, then `OTEL_EXPORTER_OTLP_METRICS_ENDPOINT`, then `OTEL_EXPORTER_OTLP_ENDPOINT`. Over HTTP, a URL without a path, or with the path /v1/traces, becomes one with the path /v1/metrics."},
		{Path: "metrics.otlp.protocol", Example: "http/protobuf", Doc: "`auto`: as `OTEL_EXPORTER_OTLP_METRICS_PROTOCOL` says, else as for traces."},
		{Path: "metrics.otlp.interval", Example: "15s", Doc: "How often to push; at least 100ms."},
		{Path: "metrics.max_series", Example: "10000", Doc: "How many series one metric may have; at least 2. Further ones displace one that has been idle for a minute or more, or are counted in a single series with the attribute `otel.metric.overflow`."},
		{Path: "metrics.buckets", Example: "[1us, 10us, 100us, 1ms, 10ms]", Doc: "The upper bounds of the histograms' classic buckets, ascending, at most 100. Native histograms are not affected. Default: the bounds listed in [metrics.md](metrics.md)."},
		{Path: "metrics.expire", Example: "10m", Doc: "How long to keep a series to which nothing is added, for example that of a removed namespace; at least 1m. It should not be shorter than the longest time range used in alerts."},
	}
}

func httpFields() []Field {
	return []Field{
		{Path: "http", Doc: "The agent's HTTP server, for metrics and health checks. It has no access control: anyone who can reach it, and so every user of this host with the default of http.listen, can read the names of namespaces, interfaces and tenants, and counts of all their pings. With tenants whose users are on this host, push metrics instead."},
		{Path: "http.listen", Example: "0.0.0.0:9464", Restart: true, Doc: "Address and port to listen on; `:9464` means all addresses. If empty, there is no server."},
	}
}

func otherFields() []Field {
	return []Field{
		{Path: "containers", Doc: "Network namespaces that belong to a container are named after it."},
		{Path: "containers.enabled", Example: "false", Restart: true, Doc: "Whether to look for containers."},
		{Path: "containers.sockets", Example: `["/run/containerd/containerd.sock"]`, Restart: true, Doc: "The sockets of the container runtimes to ask for container names. With `none`, containers are named by their IDs. Default: the usual sockets of docker, containerd, CRI-O and podman."},
		{Path: "log", Doc: "The log, which goes to standard error."},
		{Path: "log.level", Example: "debug", Doc: "The least severe level to log: `debug`, `info`, `warn` or `error`."},
		{Path: "log.format", Example: "json", Restart: true, Doc: "`text` writes key=value pairs, `json` one object; either writes one line per message."},
		{Path: "shutdown", Doc: "What happens on SIGTERM: the BPF programs are detached, open pings are closed, and queued traces are sent."},
		{Path: "shutdown.timeout", Example: "30s", Doc: "How long shutdown may take; more than 0. Traces that could not be sent by then stay in the spool, if there is one; otherwise they are lost and counted in the last log line."},
	}
}
