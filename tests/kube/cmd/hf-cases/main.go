// Command hf-cases makes up selectors, objects, lists and watch streams, and prints each with what Kubernetes' own
// code makes of it, as JSON lines: `hf-cases SEED COUNT`. The same seed gives the same cases.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"reflect"
	"sort"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/apitesting/fuzzer"
	"k8s.io/apimachinery/pkg/api/meta"
	metafuzzer "k8s.io/apimachinery/pkg/apis/meta/fuzzer"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/randfill"
)

type generator struct {
	random *rand.Rand
	filler *randfill.Filler
	codecs serializer.CodecFactory
	kinds  []schema.GroupVersionKind // those whose lists have items with metadata, by name
}

// described is what is read of an object's metadata.
type described struct {
	APIVersion      string            `json:"apiVersion"`
	Kind            string            `json:"kind"`
	Name            string            `json:"name"`
	Namespace       string            `json:"namespace"`
	UID             string            `json:"uid"`
	ResourceVersion string            `json:"resourceVersion"`
	Labels          map[string]string `json:"labels"`
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: hf-cases SEED COUNT")
		os.Exit(2)
	}
	seed, err := strconv.ParseInt(os.Args[1], 10, 64)
	check(err)
	count, err := strconv.Atoi(os.Args[2])
	check(err)
	g := newGenerator(seed)
	output := bufio.NewWriter(os.Stdout)
	lines := json.NewEncoder(output)
	for range count {
		check(lines.Encode(g.labelCase()))
		check(lines.Encode(g.fieldCase()))
	}
	for number := range count / 10 {
		for _, media := range []string{runtime.ContentTypeJSON, runtime.ContentTypeProtobuf} {
			check(lines.Encode(g.objectCase(g.kinds[number%len(g.kinds)], media)))
		}
	}
	for range count / 100 {
		for _, media := range []string{runtime.ContentTypeJSON, runtime.ContentTypeProtobuf} {
			check(lines.Encode(g.listCase(media)))
			check(lines.Encode(g.watchCase(media)))
		}
	}
	check(output.Flush())
}

func newGenerator(seed int64) *generator {
	g := &generator{random: rand.New(rand.NewSource(seed)), codecs: serializer.NewCodecFactory(scheme.Scheme)}
	g.filler = fuzzer.FuzzerFor(metafuzzer.Funcs, rand.NewSource(seed+1), g.codecs).NumElements(0, 3).MaxDepth(12)
	for gvk := range scheme.Scheme.AllKnownTypes() {
		name, isList := strings.CutSuffix(gvk.Kind, "List")
		if !isList || gvk.Version == runtime.APIVersionInternal {
			continue
		}
		item := gvk.GroupVersion().WithKind(name)
		object, err := scheme.Scheme.New(item)
		if err != nil {
			continue
		}
		if _, err := meta.Accessor(object); err == nil && hasProtobuf(object) {
			g.kinds = append(g.kinds, item)
		}
	}
	sort.Slice(g.kinds, func(i, j int) bool { return g.kinds[i].String() < g.kinds[j].String() })
	return g
}

func hasProtobuf(object runtime.Object) bool {
	_, is := object.(interface{ Marshal() ([]byte, error) })
	return is
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// object is a random one of a kind, which it also names.
func (g *generator) object(kind schema.GroupVersionKind) (runtime.Object, described) {
	object, err := scheme.Scheme.New(kind)
	check(err)
	g.filler.Fill(object)
	object.GetObjectKind().SetGroupVersionKind(kind)
	m, err := meta.Accessor(object)
	check(err)
	m.SetResourceVersion(strconv.FormatUint(g.random.Uint64()>>uint(g.random.Intn(64)), 10))
	m.SetLabels(g.labels())
	if m.GetName() == "" { // no API server has such a one
		m.SetName("nameless")
	}
	return object, describe(object)
}

func describe(object runtime.Object) described {
	m, err := meta.Accessor(object)
	check(err)
	kind := object.GetObjectKind().GroupVersionKind()
	labels := m.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	return described{
		APIVersion: kind.GroupVersion().String(), Kind: kind.Kind, Name: m.GetName(), Namespace: m.GetNamespace(),
		UID: string(m.GetUID()), ResourceVersion: m.GetResourceVersion(), Labels: labels,
	}
}

func (g *generator) kind() schema.GroupVersionKind { return g.kinds[g.random.Intn(len(g.kinds))] }

func (g *generator) encode(media string, object runtime.Object) []byte {
	info, known := runtime.SerializerInfoForMediaType(g.codecs.SupportedMediaTypes(), media)
	if !known {
		panic(media)
	}
	version := object.GetObjectKind().GroupVersionKind().GroupVersion()
	data, err := runtime.Encode(g.codecs.EncoderForVersion(info.Serializer, version), object)
	check(err)
	return data
}

func encoding(media string) string {
	if media == runtime.ContentTypeJSON {
		return "json"
	}
	return "protobuf"
}

func (g *generator) objectCase(kind schema.GroupVersionKind, media string) any {
	object, expected := g.object(kind)
	return map[string]any{"case": "object", "encoding": encoding(media), "bytes": g.encode(media, object), "expected": expected}
}

func (g *generator) listCase(media string) any {
	kind := g.kind()
	listKind := kind.GroupVersion().WithKind(kind.Kind + "List")
	list, err := scheme.Scheme.New(listKind)
	check(err)
	list.GetObjectKind().SetGroupVersionKind(listKind)
	expected := []described{}
	items := []runtime.Object{}
	for range g.random.Intn(6) {
		object, told := g.object(kind)
		object.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{}) // as in every typed list
		told.APIVersion, told.Kind = "", ""
		items, expected = append(items, object), append(expected, told)
	}
	check(meta.SetList(list, items))
	if len(items) == 0 && g.random.Intn(2) == 0 { // nil and empty are different in JSON
		pointer, err := meta.GetItemsPtr(list)
		check(err)
		reflect.ValueOf(pointer).Elem().SetZero()
	}
	accessor, err := meta.ListAccessor(list)
	check(err)
	accessor.SetResourceVersion(strconv.FormatUint(g.random.Uint64()>>8, 10))
	if g.random.Intn(3) == 0 {
		accessor.SetContinue(fmt.Sprintf("more-%d", g.random.Uint32()))
	}
	return map[string]any{
		"case": "list", "encoding": encoding(media), "bytes": g.encode(media, list), "expected": expected,
		"apiVersion": listKind.GroupVersion().String(), "kind": listKind.Kind,
		"resourceVersion": accessor.GetResourceVersion(), "continue": accessor.GetContinue(),
	}
}
