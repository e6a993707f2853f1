package main

import (
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
)

// Few names and values, so that selectors and labels meet; some that are no label at all.
var (
	labelKeys = []string{"a", "b", "in", "notin", "example.com/a", "a.b_c-d", "A", "0", "-", "a/b/c", "exists", "example.com/",
		strings.Repeat("x", 63), strings.Repeat("x", 64), "é"}
	labelValues = []string{"", "1", "2", "10", "-1", "007", "x", "y", "in", "notin", "A", "a_b", "a-", ".a", "9223372036854775807",
		"9223372036854775808", strings.Repeat("y", 63), strings.Repeat("y", 64), "1e3", "é"}
	fieldValues = []string{"", "a", "b", "kube-system", "a,b", "a=b", `a\b`, "!", "é", " a"}
)

func (g *generator) one(of []string) string {
	if g.random.Intn(4) > 0 { // the first few more often
		return of[g.random.Intn(min(len(of), 6))]
	}
	return of[g.random.Intn(len(of))]
}

func (g *generator) space() string { return []string{"", "", "", " ", "\t", "  \n"}[g.random.Intn(6)] }

func (g *generator) labels() map[string]string {
	set := map[string]string{}
	for range g.random.Intn(5) {
		set[g.one(labelKeys)] = g.one(labelValues)
	}
	return set
}

func (g *generator) requirement() string {
	key, value := g.space()+g.one(labelKeys)+g.space(), g.space()+g.one(labelValues)+g.space()
	switch g.random.Intn(9) {
	case 0:
		return key
	case 1:
		return "!" + key
	case 2:
		return key + "!=" + value
	case 3:
		return key + "==" + value
	case 4:
		return key + ">" + strconv.Itoa(g.random.Intn(30)-5)
	case 5:
		return key + "<" + value
	case 6, 7:
		values := []string{}
		for range 1 + g.random.Intn(3) {
			values = append(values, g.space()+g.one(labelValues)+g.space())
		}
		return key + []string{" in ", " notin ", " in", " notin"}[g.random.Intn(4)] + "(" + strings.Join(values, ",") + ")"
	default:
		return key + "=" + value
	}
}

// spoiled is the text with one character taken out, put in or changed, now and then.
func (g *generator) spoiled(text string) string {
	if g.random.Intn(3) > 0 {
		return text
	}
	const some = "a=!,()<> in\\-/.\t" // no NUL, which ends a selector for apimachinery and spoils it for Holdfast
	at := g.random.Intn(len(text) + 1)
	put := string(some[g.random.Intn(len(some))])
	switch end := min(at+1, len(text)); g.random.Intn(3) {
	case 0:
		return text[:at] + text[end:]
	case 1:
		return text[:at] + put + text[end:]
	default:
		return text[:at] + put + text[at:]
	}
}

func (g *generator) labelCase() any {
	parts := []string{}
	for range g.random.Intn(4) {
		parts = append(parts, g.requirement())
	}
	text := strings.ToValidUTF8(g.spoiled(strings.Join(parts, ",")), "?")
	sets, matches := []map[string]string{}, []bool{}
	selector, err := labels.Parse(text)
	for range 4 {
		set := g.labels()
		sets = append(sets, set)
		matches = append(matches, err == nil && selector.Matches(labels.Set(set)))
	}
	return map[string]any{"case": "label", "selector": text, "error": err != nil, "sets": sets, "matches": matches}
}

func (g *generator) fieldCase() any {
	parts := []string{}
	for range g.random.Intn(4) {
		field := []string{"metadata.name", "metadata.namespace", "metadata.name", "spec.nodeName"}[g.random.Intn(4)]
		value := g.one(fieldValues)
		if g.random.Intn(4) > 0 {
			value = fields.EscapeValue(value)
		}
		parts = append(parts, field+[]string{"=", "==", "!="}[g.random.Intn(3)]+value)
	}
	text := strings.ToValidUTF8(g.spoiled(strings.Join(parts, ",")), "?")
	selector, err := fields.ParseSelector(text)
	told := map[string]any{"case": "field", "selector": text, "error": err != nil}
	if err != nil {
		return told
	}
	known := true // only what every kind has
	for _, requirement := range selector.Requirements() {
		known = known && (requirement.Field == "metadata.name" || requirement.Field == "metadata.namespace")
	}
	objects, matches := [][2]string{}, []bool{}
	for range 4 {
		name, namespace := g.one(fieldValues), g.one(fieldValues)
		objects = append(objects, [2]string{name, namespace})
		matches = append(matches, selector.Matches(fields.Set{"metadata.name": name, "metadata.namespace": namespace}))
	}
	required, _ := selector.RequiresExactMatch("metadata.name")
	told["metadataOnly"], told["text"], told["requiredName"] = known, selector.String(), required
	told["objects"], told["matches"] = objects, matches
	return told
}
