// Command hf-client is an ordinary client-go program that a test steers: one JSON command per line
// on stdin, one JSON object per line on stdout, each carrying the command's id. It knows nothing of
// Holdfast, and stays alive across commands so that its connections and informers do too.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"sync"
	"time"
)

func main() {
	options := parseFlags()
	clients, err := newClients(options)
	if err != nil {
		fmt.Fprintln(os.Stderr, "hf-client:", err)
		os.Exit(2)
	}
	session := &session{clients: clients, cancel: map[int64]context.CancelFunc{}}
	print(reply{"id": 0, "ready": true, "pid": os.Getpid()})
	session.serve(os.Stdin)
}

func parseFlags() options {
	o := options{identities: identityFlags{}}
	flag.StringVar(&o.host, "host", "https://198.18.0.1", "API server, as in-cluster configuration would name it")
	flag.StringVar(&o.tokenFile, "token-file", "", "service-account token, read again as client-go does")
	flag.StringVar(&o.caFile, "ca-file", "", "certificates that the server must chain to")
	flag.StringVar(&o.kubeconfig, "kubeconfig", "", "use this instead of the flags above")
	flag.StringVar(&o.clientCert, "client-cert", "", "client certificate")
	flag.StringVar(&o.clientKey, "client-key", "", "key of --client-cert")
	flag.StringVar(&o.userAgent, "user-agent", "", "User-Agent; default: client-go's own")
	flag.StringVar(&o.encoding, "encoding", "protobuf", "protobuf: typed clients; json: dynamic client; metadata: the metadata client (recorder)")
	flag.BoolVar(&o.http1, "http1", false, "offer http/1.1 only")
	flag.Var(o.identities, "identity", "name=cert,key or name=token:FILE: another client of this process, for commands that say as=name")
	flag.Parse()
	return o
}

// session runs commands side by side, so that one that waits holds up no other.
type session struct {
	clients map[string]*client
	mutex   sync.Mutex
	cancel  map[int64]context.CancelFunc
}

func (s *session) serve(input *os.File) {
	lines := bufio.NewScanner(input)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var c command
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			print(reply{"id": c.ID, "ok": false, "error": "bad command: " + err.Error()})
			continue
		}
		if c.Op == "stop" {
			s.stop(c.Target)
			print(reply{"id": c.ID, "ok": true})
			continue
		}
		client, known := s.clients[c.As]
		if !known {
			print(reply{"id": c.ID, "ok": false, "error": "no such identity: " + c.As})
			continue
		}
		ctx, cancel := context.WithCancel(context.Background())
		if c.Timeout > 0 {
			ctx, cancel = context.WithTimeout(ctx, time.Duration(c.Timeout*float64(time.Second)))
		}
		s.mutex.Lock()
		s.cancel[c.ID] = cancel
		s.mutex.Unlock()
		go func() {
			defer s.stop(c.ID)
			started := time.Now()
			answer, err := client.run(ctx, c)
			if err != nil {
				answer = errorReply(err)
			} else {
				answer["ok"] = true
			}
			answer["id"] = c.ID
			answer["seconds"] = time.Since(started).Seconds()
			print(answer)
		}()
	}
}

func (s *session) stop(id int64) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if cancel, found := s.cancel[id]; found {
		cancel()
		delete(s.cancel, id)
	}
}
