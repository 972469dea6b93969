// SPDX-License-Identifier: Apache-2.0

package api

// The reasons for which the server refuses connections. Those of requests, and of streams
// that it ends, are codes.
const (
	// ReasonConnections: too many connections are open, of this client or of all.
	ReasonConnections = "connections"
	// ReasonNoCredentials: the kernel does not say who has connected.
	ReasonNoCredentials = "no_credentials"
	// ReasonNoCertificate and ReasonBadCertificate: a client came without a certificate, or
	// with one that the client CAs have not signed for clients, or that is not valid now.
	ReasonNoCertificate  = "no_certificate"
	ReasonBadCertificate = "bad_certificate"
)

// Reasons returns all reasons for which something is refused, in a fixed order. The server
// counts by them.
func Reasons() []string {
	return []string{
		CodeNotYours, CodeUnknownTenant, CodeUnknownTrace, CodeUnauthenticated, CodeBadRequest, CodeNotFound,
		CodeMethod, CodeTooMany, CodeBusy, CodeRevoked,
		CodeSyntax, CodeTooLarge, CodeContent, CodeReadOnly, CodeNoFirewall, CodeNoFastPath, CodeFailed,
		ReasonConnections, ReasonNoCredentials, ReasonNoCertificate, ReasonBadCertificate,
	}
}
