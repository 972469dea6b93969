// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dwelltrace/dwell/internal/backend/api"
	"github.com/dwelltrace/dwell/internal/backend/client"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// statusUsage is the exit status if what was typed is not understood.
const statusUsage = 2

// usageError is an error with [statusUsage].
func usageError(err error) error { return statusError{statusUsage, err} }

// usageStatus has a command and those below it end with [statusUsage] if flags or arguments are
// not understood.
func usageStatus(cmd *cobra.Command) {
	for _, c := range append(cmd.Commands(), cmd) {
		c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError(err) })
		if args := c.Args; args != nil {
			c.Args = func(cmd *cobra.Command, list []string) error {
				if err := args(cmd, list); err != nil {
					return usageError(err)
				}
				return nil
			}
		}
	}
}

// askFlags are the flags of commands that ask an agent about a tenant.
type askFlags struct {
	tenant, backend string
	tls             client.TLSFiles
	json            bool
}

func (f *askFlags) register(cmd *cobra.Command) {
	flags := cmd.PersistentFlags()
	flags.StringVarP(&f.tenant, "tenant", "t", "", "the `ID` of the tenant")
	flags.StringVar(&f.backend, "backend", "unix://"+api.DefaultSocket, "the agent's `address`: unix:///path, ssh://[user@]host[:port][/path]\n"+
		"or https://host:port")
	flags.StringVar(&f.tls.Cert, "cert", "", "for https: PEM `file` with the client's certificate")
	flags.StringVar(&f.tls.Key, "key", "", "for https: PEM `file` with the certificate's key")
	flags.StringVar(&f.tls.CA, "ca", "", "for https: PEM `file` with the CAs that verify the agent (default: the system's)")
	flags.BoolVar(&f.json, "json", false, "print the answer as JSON, as the API has it")
	_ = cmd.RegisterFlagCompletionFunc("tenant", f.complete) // it fails only if there is no such flag
}

// check says which flag has a value that cannot be; whose is the error if no tenant is named.
func (f *askFlags) check(whose error) error {
	if f.tenant == "" {
		return whose
	}
	if err := tenant.CheckID(f.tenant); err != nil {
		return fmt.Errorf("--tenant: %w", err)
	}
	return f.checkTLS()
}

func (f *askFlags) checkTLS() error {
	switch {
	case f.tls != (client.TLSFiles{}) && !strings.HasPrefix(f.backend, "https://"):
		return errors.New("--cert, --key and --ca are for --backend https://…; on a socket, the agent knows who you are")
	case (f.tls.Cert == "") != (f.tls.Key == ""):
		return errors.New("--cert and --key belong together: give both")
	}
	return nil
}

// complete lists the tenants that the caller may see.
func (f *askFlags) complete(cmd *cobra.Command, _ []string, start string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), time.Second)
	defer cancel()
	c, err := client.New(ctx, client.Options{Backend: f.backend, TLS: f.tls})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer c.Close()
	list, err := c.Tenants(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var ids []string
	for _, t := range list.Tenants {
		if strings.HasPrefix(t.ID, start) {
			ids = append(ids, t.ID)
		}
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}
