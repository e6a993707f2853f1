// Command hf-load does what h2load can't: it fills the API server with objects, and times watches, which
// never end by themselves. It knows nothing of Holdfast and needs Go's standard library only.
//
//	hf-load fill  --host URL --ca FILE --cert FILE --key FILE --path PATH --template FILE --count N
//	hf-load watch --url URL --ca FILE --token-file FILE --accept TYPE --events N [--repeat N] [--save FILE]
package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"time"
)

type access struct {
	ca, certificate, key, tokenFile string
}

func (a *access) flags(set *flag.FlagSet) {
	set.StringVar(&a.ca, "ca", "", "CA file")
	set.StringVar(&a.certificate, "cert", "", "client certificate")
	set.StringVar(&a.key, "key", "", "its key")
	set.StringVar(&a.tokenFile, "token-file", "", "bearer token")
}

// client speaks HTTP/2 over one connection, with client-go's windows, and asks for no compression.
func (a *access) client() (*http.Client, error) {
	pem, err := os.ReadFile(a.ca)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{RootCAs: x509.NewCertPool(), NextProtos: []string{"h2"}}
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", a.ca)
	}
	if a.certificate != "" {
		pair, err := tls.LoadX509KeyPair(a.certificate, a.key)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true, DisableCompression: true,
		TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: 60 * time.Second}
	return &http.Client{Transport: transport}, nil
}

func main() {
	commands := map[string]func([]string) error{"fill": fill, "watch": watch}
	err := errors.New("usage: hf-load fill|watch [flags]")
	if len(os.Args) > 1 && commands[os.Args[1]] != nil {
		err = commands[os.Args[1]](os.Args[2:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "hf-load:", err)
		os.Exit(1)
	}
}
