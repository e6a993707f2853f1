package main

import (
	"bytes"
	"encoding/json"
	"strconv"

	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/client-go/kubernetes/scheme"
)

type toldEvent struct {
	Type             string     `json:"type"`
	Object           *described `json:"object,omitempty"`
	Code             int32      `json:"code,omitempty"` // of an ERROR's Status
	InitialEventsEnd bool       `json:"initialEventsEnd,omitempty"`
	End              int        `json:"end"` // how many bytes of the stream it takes to know the event
}

// watchCase is a whole stream, framed as the API server frames it.
func (g *generator) watchCase(media string) any {
	kind := g.kind()
	stream, events := []byte{}, []toldEvent{}
	for range 1 + g.random.Intn(8) {
		data, told := g.event(media, kind)
		stream = append(stream, data...)
		told.End = end(media, stream)
		events = append(events, told)
	}
	if g.random.Intn(3) == 0 {
		gone := errors.NewResourceExpired("too old resource version: 1 (2)").Status()
		gone.SetGroupVersionKind(schema.GroupVersionKind{Version: "v1", Kind: "Status"})
		stream = append(stream, frame(media, "ERROR", g.encode(media, &gone))...)
		events = append(events, toldEvent{Type: "ERROR", Code: 410, End: end(media, stream)})
	}
	return map[string]any{"case": "watch", "encoding": encoding(media), "bytes": stream, "expected": events}
}

// end leaves out the line's end that follows a JSON document.
func end(media string, stream []byte) int {
	if media == runtime.ContentTypeJSON {
		return len(stream) - 1
	}
	return len(stream)
}

func (g *generator) event(media string, kind schema.GroupVersionKind) ([]byte, toldEvent) {
	kinds := []string{"ADDED", "MODIFIED", "DELETED", "BOOKMARK"}
	told := toldEvent{Type: kinds[g.random.Intn(len(kinds))]}
	if told.Type != "BOOKMARK" {
		object, expected := g.object(kind)
		told.Object = &expected
		return frame(media, told.Type, g.encode(media, object)), told
	}
	object, err := scheme.Scheme.New(kind)
	check(err)
	object.GetObjectKind().SetGroupVersionKind(kind)
	m, err := meta.Accessor(object)
	check(err)
	m.SetResourceVersion(strconv.FormatUint(g.random.Uint64()>>8, 10))
	if told.InitialEventsEnd = g.random.Intn(2) == 0; told.InitialEventsEnd {
		m.SetAnnotations(map[string]string{metav1.InitialEventsAnnotationKey: "true"})
	}
	expected := describe(object)
	told.Object = &expected
	return frame(media, told.Type, g.encode(media, object)), told
}

func frame(media, kind string, object []byte) []byte {
	event := &metav1.WatchEvent{Type: kind, Object: runtime.RawExtension{Raw: bytes.TrimSuffix(object, []byte("\n"))}}
	if media == runtime.ContentTypeJSON {
		line, err := json.Marshal(event)
		check(err)
		return append(line, '\n')
	}
	var message, framed bytes.Buffer
	check(protobuf.NewRawSerializer(scheme.Scheme, scheme.Scheme).Encode(event, &message))
	_, err := protobuf.LengthDelimitedFramer.NewFrameWriter(&framed).Write(message.Bytes())
	check(err)
	return framed.Bytes()
}
