package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path"
	"path/filepath"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes/scheme"
)

// change is one line of a history: what became of one object at a revision, which is what the API
// server calls its resourceVersion.
type change struct {
	Revision int64             `json:"rv"`
	Type     string            `json:"type"` // PUT or DELETE
	Name     string            `json:"name"`
	UID      string            `json:"uid,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`
}

// runHistory prints every change below a prefix of etcd's keys, beginning with what is there, until it is
// killed. It asks etcd itself, so it misses nothing while no API server runs.
func runHistory(arguments []string) error {
	flags := flag.NewFlagSet("history", flag.ContinueOnError)
	dir := flags.String("dir", "", "etcd's folder")
	prefix := flags.String("prefix", "", "as in /registry/configmaps/default/")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	client, err := dialEtcd(*dir)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx := context.Background()
	lines := json.NewEncoder(os.Stdout)
	there, err := client.Get(ctx, *prefix, clientv3.WithPrefix())
	if err != nil {
		return err
	}
	for _, pair := range there.Kvs {
		if err := putChange(lines, pair); err != nil {
			return err
		}
	}
	changes := client.Watch(ctx, *prefix, clientv3.WithPrefix(), clientv3.WithRev(there.Header.Revision+1))
	if err := lines.Encode(map[string]any{"ready": true, "rv": there.Header.Revision}); err != nil {
		return err
	}
	for batch := range changes {
		if err := batch.Err(); err != nil {
			return err
		}
		for _, event := range batch.Events {
			if event.Type == clientv3.EventTypePut {
				err = putChange(lines, event.Kv)
			} else {
				err = lines.Encode(change{Revision: event.Kv.ModRevision, Type: "DELETE", Name: path.Base(string(event.Kv.Key))})
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func putChange(lines *json.Encoder, pair *mvccpb.KeyValue) error {
	found := change{Revision: pair.ModRevision, Type: "PUT", Name: path.Base(string(pair.Key))}
	// Stored as protobuf of a known kind, or as JSON of a custom one.
	object, _, err := scheme.Codecs.UniversalDeserializer().Decode(pair.Value, nil, nil)
	if err != nil {
		custom := &unstructured.Unstructured{}
		if failed := custom.UnmarshalJSON(pair.Value); failed != nil {
			return fmt.Errorf("%s: %w", pair.Key, err)
		}
		object = custom
	}
	accessor, err := meta.Accessor(object)
	if err != nil {
		return err
	}
	found.UID, found.Labels = string(accessor.GetUID()), accessor.GetLabels()
	return lines.Encode(found)
}

// runCompact makes etcd forget everything but the present.
func runCompact(arguments []string) error {
	flags := flag.NewFlagSet("compact", flag.ContinueOnError)
	dir := flags.String("dir", "", "etcd's folder")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	client, err := dialEtcd(*dir)
	if err != nil {
		return err
	}
	defer client.Close()
	now, err := client.Get(context.Background(), "compact")
	if err != nil {
		return err
	}
	if _, err = client.Compact(context.Background(), now.Header.Revision, clientv3.WithCompactPhysical()); err != nil {
		return err
	}
	fmt.Println(now.Header.Revision)
	return nil
}

func dialEtcd(dir string) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{Endpoints: []string{"unix://" + filepath.Join(dir, "client.sock")}})
}
