package main

import (
	"encoding/json"
	"errors"
	"os"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// command is one line of input. Op says which of the other fields count.
type command struct {
	ID      int64   `json:"id"`
	Op      string  `json:"op"`
	Target  int64   `json:"target"`  // stop: the id of the command to end
	Timeout float64 `json:"timeout"` // seconds; 0: none
	As      string  `json:"as"`      // one of --identity's names; default: the client of the other flags

	Group     string `json:"group"`
	Version   string `json:"version"` // default v1
	Resource  string `json:"resource"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`

	LabelSelector        string `json:"labelSelector"`
	FieldSelector        string `json:"fieldSelector"`
	ResourceVersion      string `json:"resourceVersion"`
	ResourceVersionMatch string `json:"resourceVersionMatch"`
	Limit                int64  `json:"limit"`
	Continue             string `json:"continue"`
	AllPages             bool   `json:"allPages"` // list: follow the continue tokens
	Full                 bool   `json:"full"`     // whole objects in the answer, not their metadata

	AllowBookmarks    bool  `json:"allowWatchBookmarks"`
	SendInitialEvents *bool `json:"sendInitialEvents"`
	TimeoutSeconds    int64 `json:"timeoutSeconds"`

	Object json.RawMessage `json:"object"` // create, update: the object as JSON
	Patch  json.RawMessage `json:"patch"`  // patch: a merge patch

	Method  string            `json:"method"` // raw
	Path    string            `json:"path"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`

	Count int     `json:"count"` // churn, reads: how many objects
	Rate  float64 `json:"rate"`  // churn, reads: writes per second
	Seed  int64   `json:"seed"`  // churn, reads: of the random numbers
	Kind  string  `json:"kind"`  // churn: the kind of a custom resource

	Holder   string  `json:"holder"`   // lease, elect: spec.holderIdentity; churn: the pods' node
	Duration float64 `json:"duration"` // seconds: how long the Lease is good for
	Interval float64 `json:"interval"` // seconds between two renewals
}

func (c command) gvr() schema.GroupVersionResource {
	version := c.Version
	if version == "" {
		version = "v1"
	}
	return schema.GroupVersionResource{Group: c.Group, Version: version, Resource: c.Resource}
}

func (c command) listOptions() metav1.ListOptions {
	o := metav1.ListOptions{
		LabelSelector: c.LabelSelector, FieldSelector: c.FieldSelector,
		ResourceVersion: c.ResourceVersion, ResourceVersionMatch: metav1.ResourceVersionMatch(c.ResourceVersionMatch),
		Limit: c.Limit, Continue: c.Continue,
		AllowWatchBookmarks: c.AllowBookmarks, SendInitialEvents: c.SendInitialEvents,
	}
	if c.TimeoutSeconds > 0 {
		o.TimeoutSeconds = &c.TimeoutSeconds
	}
	return o
}

// reply is one line of output.
type reply map[string]any

var output struct {
	sync.Mutex
}

func print(r reply) {
	line, err := json.Marshal(r)
	if err != nil {
		line, _ = json.Marshal(reply{"id": r["id"], "ok": false, "error": "cannot encode the answer: " + err.Error()})
	}
	output.Lock()
	defer output.Unlock()
	os.Stdout.Write(append(line, '\n'))
}

// errorReply carries what the API server's Status said, when there was one.
func errorReply(err error) reply {
	r := reply{"ok": false, "error": err.Error()}
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		s := status.Status()
		r["code"], r["reason"], r["message"] = s.Code, s.Reason, s.Message
		if s.Details != nil {
			r["retryAfterSeconds"] = s.Details.RetryAfterSeconds
		}
	}
	return r
}
