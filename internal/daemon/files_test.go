// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dwelltrace/dwell/internal/config"
)

// keyPair writes a certificate and its key.
func keyPair(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{
		cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func parse(t *testing.T, text string) *config.Loaded {
	t.Helper()
	l, err := config.Parse("f", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLoadTLS(t *testing.T) {
	dir := t.TempDir()
	cert, key := keyPair(t, dir)
	with := func(tls string) *config.Loaded { return parse(t, "export: {otlp: {tls: {"+tls+"}}}\n") }
	none, _, err := loadTLS(with(""))
	if none != nil || err != nil {
		t.Errorf("%v, %v", none, err)
	}
	all := with("ca_file: " + cert + ", cert_file: " + cert + ", key_file: " + key)
	c, before, err := loadTLS(all)
	if err != nil || c.RootCAs == nil || len(c.Certificates) != 1 {
		t.Fatalf("%+v, %v", c, err)
	}
	keyPair(t, dir) // renewed under the same names
	if _, after, err := loadTLS(all); err != nil || after == before {
		t.Errorf("the renewed files are taken for the old ones, %v", err)
	}
	for tls, want := range map[string]string{
		"ca_file: " + key: "f:1:32: export.otlp.tls.ca_file",
		"cert_file: " + cert + ", key_file: " + cert: "f:1:34: export.otlp.tls.cert_file",
		"ca_file: " + dir + "/none":                  "no such file",
	} {
		if _, _, err := loadTLS(with(tls)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", tls, err)
		}
	}
}

func TestWritable(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"": "", dir: "", dir + "/new/below": "", file: "not a directory", file + "/x": "not a directory",
	} {
		err := writable(path)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", path, err)
		}
	}
}

// logrotate(8) renames the file and sends SIGHUP. The file is opened anew even if the
// configuration has a mistake that nobody has noticed yet.
func TestReloadOpensTheFileAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "traces")
	l := live(t, "export: {file: "+path+"}\n")
	for i, text := range []string{"export: {file: " + path + "}\n", "nonsense: 1\n"} {
		old := fmt.Sprintf("%s.%d", path, i)
		if err := os.Rename(path, old); err != nil {
			t.Fatal(err)
		}
		l.reload(text)
		if _, err := os.Stat(path); err != nil {
			t.Errorf("after reloading %q: %v", text, err)
		}
	}
}
