// Command golden writes what Kubernetes' own code makes of the inputs below: bodies as the API
// server encodes them, and how it reads request targets and selectors. The unit tests compare.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/client-go/kubernetes/scheme"
)

var out string

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func write(name string, data []byte) { check(os.WriteFile(filepath.Join(out, name), data, 0o644)) }

func encode(mediaType string, pretty bool, obj runtime.Object) []byte {
	factory := serializer.NewCodecFactory(scheme.Scheme)
	info, ok := runtime.SerializerInfoForMediaType(factory.SupportedMediaTypes(), mediaType)
	if !ok {
		panic(mediaType)
	}
	s := info.Serializer
	if pretty {
		s = info.PrettySerializer
	}
	var buffer bytes.Buffer
	check(factory.EncoderForVersion(s, schema.GroupVersion{Version: "v1"}).Encode(obj, &buffer))
	return buffer.Bytes()
}

func pod(i int) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:              fmt.Sprintf("web-%d", i),
			Namespace:         "default",
			UID:               types.UID(fmt.Sprintf("uid-%d", i)),
			ResourceVersion:   fmt.Sprint(1000 + i),
			Generation:        int64(i),
			CreationTimestamp: metav1.NewTime(time.Unix(1700000000, 0)),
			Labels:            map[string]string{"app": "web", "index": fmt.Sprint(i), "empty": ""},
			Annotations:       map[string]string{"note": "{\"a\":\"\\\\b]}\"} <&> \u00e9\u2028\n"},
			OwnerReferences:   []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web"}},
		},
		Spec: corev1.PodSpec{
			NodeName:   "node-1",
			Containers: []corev1.Container{{Name: "c", Image: "registry/image:1", Args: []string{"--x={}", "[\"]"}}},
		},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "198.18.0.9"},
	}
}

func event(mediaType string, kind string, obj runtime.Object) []byte {
	object := bytes.TrimSuffix(encode(mediaType, false, obj), []byte("\n"))
	watch := &metav1.WatchEvent{Type: kind, Object: runtime.RawExtension{Raw: object}}
	if mediaType == runtime.ContentTypeJSON {
		line, err := json.Marshal(watch)
		check(err)
		return append(line, '\n')
	}
	var buffer bytes.Buffer
	raw := protobuf.NewRawSerializer(scheme.Scheme, scheme.Scheme)
	framer := protobuf.LengthDelimitedFramer.NewFrameWriter(&buffer)
	var message bytes.Buffer
	check(raw.Encode(watch, &message))
	_, err := framer.Write(message.Bytes())
	check(err)
	return buffer.Bytes()
}

func bodies() {
	list := &corev1.PodList{ListMeta: metav1.ListMeta{ResourceVersion: "4711", Continue: "next"}}
	for i := range 3 {
		list.Items = append(list.Items, *pod(i))
	}
	bookmark := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		ResourceVersion: "5000", Annotations: map[string]string{metav1.InitialEventsAnnotationKey: "true"}}}
	gone := errors.NewResourceExpired("too old resource version: 1 (2)").Status()
	notFound := errors.NewNotFound(schema.GroupResource{Group: "apps", Resource: "deployments"}, "x").Status()
	var tooLarge metav1.Status
	if status, ok := storage.NewTooLargeResourceVersionError(99, 42, 1).(errors.APIStatus); ok {
		tooLarge = status.Status()
	}
	for suffix, mediaType := range map[string]string{"json": runtime.ContentTypeJSON, "pb": runtime.ContentTypeProtobuf} {
		write("pod."+suffix, encode(mediaType, false, pod(7)))
		write("pods."+suffix, encode(mediaType, false, list))
		write("empty."+suffix, encode(mediaType, false, &corev1.PodList{ListMeta: metav1.ListMeta{ResourceVersion: "1"}}))
		var stream []byte
		stream = append(stream, event(mediaType, "ADDED", pod(1))...)
		stream = append(stream, event(mediaType, "MODIFIED", pod(2))...)
		stream = append(stream, event(mediaType, "DELETED", pod(3))...)
		stream = append(stream, event(mediaType, "BOOKMARK", bookmark)...)
		stream = append(stream, event(mediaType, "ERROR", &gone)...)
		write("watch."+suffix, stream)
		write("not_found."+suffix, encode(mediaType, false, &notFound))
		write("too_large."+suffix, encode(mediaType, false, &tooLarge))
	}
	write("pods.pretty.json", encode(runtime.ContentTypeJSON, true, list))
}

func lines(name string) []string {
	data, err := os.ReadFile(filepath.Join(out, name))
	check(err)
	return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
}

// requests reads `METHOD target` lines.
func requests() {
	factory := request.RequestInfoFactory{
		APIPrefixes: sets.NewString("api", "apis"), GrouplessAPIPrefixes: sets.NewString("api")}
	var result []map[string]any
	for _, line := range lines("requests.txt") {
		method, target, _ := strings.Cut(line, " ")
		entry := map[string]any{"method": method, "target": target}
		result = append(result, entry)
		req, err := http.NewRequest(method, "https://server"+target, nil)
		if err != nil {
			entry["error"] = true
			continue
		}
		info, err := factory.NewRequestInfo(req)
		if err != nil {
			entry["error"] = true
			continue
		}
		entry["resource_request"] = info.IsResourceRequest
		entry["path"] = info.Path
		entry["verb"] = info.Verb
		entry["group"] = info.APIGroup
		entry["version"] = info.APIVersion
		entry["namespace"] = info.Namespace
		entry["resource"] = info.Resource
		entry["subresource"] = info.Subresource
		entry["name"] = info.Name
	}
	data, err := json.MarshalIndent(result, "", " ")
	check(err)
	write("requests.json", append(data, '\n'))
}

var labelSets = []labels.Set{
	{}, {"a": "1"}, {"a": "2", "b": ""}, {"a": "x", "b": "y"}, {"b": "10"}, {"a": "9223372036854775807"},
	{"in": "notin"}, {"example.com/a": "z"}}

func selectors() {
	var result []map[string]any
	for _, line := range lines("label_selectors.txt") {
		text := strings.NewReplacer(`\t`, "\t", `\n`, "\n").Replace(line)
		entry := map[string]any{"selector": text}
		result = append(result, entry)
		selector, err := labels.Parse(text)
		if err != nil {
			entry["error"] = true
			continue
		}
		matches := []bool{}
		for _, set := range labelSets {
			matches = append(matches, selector.Matches(set))
		}
		entry["matches"] = matches
	}
	var fieldResult []map[string]any
	for _, line := range lines("field_selectors.txt") {
		entry := map[string]any{"selector": line}
		fieldResult = append(fieldResult, entry)
		selector, err := fields.ParseSelector(line)
		if err != nil {
			entry["error"] = true
			continue
		}
		name, _ := selector.RequiresExactMatch("metadata.name")
		entry["name"] = name
		entry["empty"] = selector.Empty()
		entry["text"] = selector.String()
	}
	data, err := json.MarshalIndent(map[string]any{
		"labels": labelSets, "label_selectors": result, "field_selectors": fieldResult}, "", " ")
	check(err)
	write("selectors.json", append(data, '\n'))
}

func main() {
	out = os.Args[1]
	bodies()
	requests()
	selectors()
}
