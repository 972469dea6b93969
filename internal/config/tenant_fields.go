// SPDX-License-Identifier: Apache-2.0

package config

func tenancyFields() []Field {
	return []Field{
		{Path: "tenancy", Doc: "What holds for all tenants. A tenant sees, through the API and its own export, only what is its own of each trace; the exporters above get everything, with or without tenants."},
		{Path: "tenancy.dir", Example: "/etc/dwell/tenants.d", Doc: "A directory of further tenants, which is watched. See [Tenants in a directory](#tenants-in-a-directory). Default: none."},
		{Path: "tenancy.shared", Example: `["qrouter-*"]`, Doc: "The network namespaces besides the hypervisors that every tenant may see when its packets pass through them. Of what is neither shared nor its own, a tenant sees nothing. Default: none."},
		{Path: "tenancy.uplinks", Example: `["ens3", "bond*"]`, Doc: "Devices of the hypervisors that every tenant may see although they lead into a namespace of nobody, by name or alternative name; for example a veth pair that stands in for the network card. No tenant can own such a device. Default: none."},
		{Path: "tenancy.export", Doc: "Where the traces of each tenant go, besides where all go. A tenant may have its own settings, see `tenants[].export`. OpenTelemetry's variables do not apply here."},
		{
			Path: "tenancy.export.otlp", Example: `[{endpoint: "tempo:4317", headers: {X-Scope-OrgID: "${tenant}"}}]`,
			Doc: "The endpoints for the traces of each tenant. Each has the settings of export.otlp, of which endpoint is required, and in its headers `${tenant}` is replaced by the tenant's ID. Default: none.",
		},
		{Path: "tenancy.export.queue", Doc: "The queue in memory of each tenant. When it is full, traces of this tenant are dropped and counted; those of others are not."},
		{Path: "tenancy.export.queue.spans", Example: "4096", Doc: "How many spans may be queued for one endpoint of a tenant, including those being sent; at least 1."},
		{Path: "tenancy.export.queue.batch_spans", Example: "256", Doc: "How many spans to send in one batch; at least 1, and never more than half of tenancy.export.queue.spans."},
		{Path: "tenancy.export.queue.senders", Example: "4", Doc: "How many batches may be on their way to an endpoint at the same time, from 1 to 64."},
		{Path: "tenancy.export.queue.delay", Example: "1s", Doc: "How long a span may wait for its batch to fill; more than 0."},
		{Path: "tenancy.export.spool", Doc: "A queue on disk for each tenant."},
		{Path: "tenancy.export.spool.dir", Example: "/var/lib/dwell/tenants", Doc: "Each tenant has a directory below this one, named by its ID. It must not overlap with export.spool.dir. Default: no spool."},
		{Path: "tenancy.export.spool.max_bytes", Example: "16MiB", Doc: "How large the spool of one tenant may grow; at least 1MiB."},
		{Path: "tenancy.sampling", Doc: "Which of their traces tenants get by export. The API always has all."},
		{Path: "tenancy.sampling.ratio", Example: "0.1", Doc: "As sampling.ratio."},
		{Path: "tenancy.sampling.keep_slower_than", Example: "1ms", Doc: "As sampling.keep_slower_than."},
		{
			Path: "tenants", Example: `[{id: red, ports: ["tap-red-*"]}]`,
			Doc: "The tenants, besides those in tenancy.dir. What a packet belongs to is determined by the device or namespace where it is seen, and never by its addresses, so tenants may have the same ones. Two tenants that own the same thing are an error. What only patterns give to two tenants belongs to neither, and neither sees it; the log says so. Names may be patterns with `*`, `?` or `[...]`.",
		},
	}
}

func tenantFields() []Field {
	return []Field{
		{Path: "tenants[].id", Example: "red", Doc: "The tenant's name: 1 to 63 letters, digits, and `.` `_` `-`, beginning with a letter or a digit. Required, except in a file in tenancy.dir, where it defaults to the name of the file."},
		{Path: "tenants[].ports", Example: `["tap-red-*"]`, Doc: "Devices in the hypervisor's namespace that lead to the tenant's guests, by name or alternative name (`altname` of ip-link(8)): taps, the host's ends of veth pairs, ports of Open vSwitch."},
		{Path: "tenants[].bridges", Example: `["br-red"]`, Doc: "Bridges of Linux or of Open vSwitch, with all their ports. A bridge of nobody is shown to every tenant whose packets pass it, by name."},
		{Path: "tenants[].prefixes", Example: `["192.0.2.0/24"]`, Doc: "Addresses of the tenant's guests. They do not make a packet the tenant's: they are hidden from the other tenants, unless those have them, too."},
		{Path: "tenants[].netns", Example: `["red-*"]`, Doc: "Network namespaces, written as in trace.netns."},
		{Path: "tenants[].containers", Example: `["red-web"]`, Doc: "Containers by name or ID, or pods by name."},
		{Path: "tenants[].vms", Example: `["red-vm1"]`, Doc: "Virtual machines, by the name of their libvirt domain."},
		{Path: "tenants[].neutron_ports", Example: `["2b1fb1b1-2fb1-4ac4-8f23-6e2a7b0c1d2e"]`, Doc: "Ports of OpenStack Neutron, by their UUID."},
		{Path: "tenants[].access", Doc: "Who may ask the API for this tenant, change its firewall if firewall.enabled is set, and flush its fast path, besides the operators."},
		{Path: "tenants[].access.uids", Example: "[1001]", Doc: "Users by number, for processes that connect to api.socket."},
		{Path: "tenants[].access.gids", Example: "[2001]", Doc: "Groups by number, for processes that connect to api.socket."},
		{Path: "tenants[].access.certificates", Example: `["red.example.net"]`, Doc: "Names in the certificates of clients that connect to api.listen."},
		{Path: "tenants[].readers", Doc: "Who else may ask the API for this tenant, and change nothing: what monitors the tenant, for example. Of its firewall they may see the rules and what would become of a command."},
		{Path: "tenants[].readers.uids", Example: "[1002]", Doc: "As tenants[].access.uids."},
		{Path: "tenants[].readers.gids", Example: "[2002]", Doc: "As tenants[].access.gids."},
		{Path: "tenants[].readers.certificates", Example: `["monitor.example.net"]`, Doc: "As tenants[].access.certificates."},
		{Path: "tenants[].fastpath", Example: "shadow", Doc: "Whether packets of the tenant's flows take a short way from its ports to the network card and back, once the kernel has shown what it does to them: `off`, the default; `shadow`, which only works out what would be done and compares it with what the kernel does; or `on`. [fastpath.md](fastpath.md) says what it needs."},
		{Path: "tenants[].export", Example: `{queue: {spans: 4096}}`, Doc: "Where this tenant's traces go. Has the settings of tenancy.export, which apply where one is left out; a list of endpoints replaces the one there, and `otlp: []` means none."},
		{Path: "tenants[].sampling", Example: `{ratio: 0.5}`, Doc: "Which of its traces this tenant gets by export. Has the settings of tenancy.sampling, which apply where one is left out."},
		{Path: "tenants[].probes", Example: `[{name: web, netns: ["red-web"], targets: ["192.0.2.1"]}]`, Doc: "Pings that the agent sends for this tenant, from its own network namespaces and containers only. Has the settings of `probes[]`. At most 32."},
	}
}

func apiFields() []Field {
	return []Field{
		{Path: "api", Doc: "The API from which tenants and the operator get traces live, over HTTP; `dwell monitor` uses it. Without a socket and an address, there is none."},
		{Path: "api.socket", Example: "/run/dwell/agent.sock", Restart: true, Doc: "A unix socket to listen on; clients are known by their user and group. Default: none."},
		{Path: "api.group", Example: "dwell", Restart: true, Doc: "Name or number of the group that may connect to api.socket, besides the agent's own user; its members then see what access and api.operators say, and otherwise nothing. Default: the agent's own group."},
		{Path: "api.listen", Example: "0.0.0.0:9465", Restart: true, Doc: "Address and port to listen on over TLS; clients are known by their certificate. Needs all of api.tls. Default: none."},
		{Path: "api.tls", Doc: "TLS settings of api.listen."},
		{Path: "api.tls.cert_file", Example: "/etc/dwell/api.pem", Restart: true, Doc: "PEM file with the certificate of the API. These files are read again by a reload, so that they may be renewed under the same names."},
		{Path: "api.tls.key_file", Example: "/etc/dwell/api.key", Restart: true, Doc: "PEM file with the private key of cert_file."},
		{Path: "api.tls.client_ca_file", Example: "/etc/dwell/clients.pem", Restart: true, Doc: "PEM file with the CA certificates that clients' certificates are verified with. Whoever has a certificate of these CAs with a name that is listed below or for a tenant is let in, so use a CA of your own."},
		{Path: "api.operators", Doc: "Who may see everything, of all tenants and of nobody. The agent's own user always may."},
		{Path: "api.operators.uids", Example: "[0, 1000]", Doc: "Users by number, for processes that connect to api.socket."},
		{Path: "api.operators.gids", Example: "[27]", Doc: "Groups by number, for processes that connect to api.socket."},
		{Path: "api.operators.certificates", Example: `["operator.example.net"]`, Doc: "Names in the certificates of clients that connect to api.listen."},
		{Path: "api.streams_max", Example: "100", Restart: true, Doc: "How many streams of traces may be open. Operators may open theirs in any case."},
		{Path: "api.client_streams_max", Example: "10", Restart: true, Doc: "How many streams one client may have open: a user on api.socket, or the owner of a certificate."},
		{Path: "api.client_rate", Example: "100", Restart: true, Doc: "How many requests a second one client may make on average. Two and a half times as many may come at once."},
	}
}
