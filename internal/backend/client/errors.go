// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"

	"golang.org/x/sys/unix"
)

// unreachable says what to do if the agent does not answer.
func unreachable(err error) error {
	var at *url.Error
	if errors.As(err, &at) {
		err = at.Err // the URL says nothing that the user has written
	}
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: is dwell agent running, and is api.socket set in its configuration?", err)
	case errors.Is(err, unix.ECONNREFUSED):
		return fmt.Errorf("%w: dwell agent is not running, or listens elsewhere", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: ask for membership in the group that the socket belongs to (api.group)", err)
	}
	var alert *net.OpError
	if errors.As(err, &alert) && alert.Op == "remote error" {
		return fmt.Errorf("the agent refuses the certificate: %w; it must be one for clients that has not expired, of a CA in the agent's api.tls.client_ca_file", alert.Err)
	}
	if errors.As(err, new(x509.UnknownAuthorityError)) {
		return fmt.Errorf("the agent's certificate is of a CA that is not known here: %w; name the CA's file (--ca)", err)
	}
	return fmt.Errorf("the agent does not answer: %w", err)
}
