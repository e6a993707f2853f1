package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
)

// run performs one command. An operation that streams prints its events itself and returns at its end.
func (c *client) run(ctx context.Context, cmd command) (reply, error) {
	switch cmd.Op {
	case "get":
		object, err := c.get(ctx, cmd)
		return objectReply(object, err)
	case "list":
		return c.list(ctx, cmd)
	case "watch":
		return c.watch(ctx, cmd)
	case "informer":
		return c.informer(ctx, cmd)
	case "recorder":
		return c.recorder(ctx, cmd)
	case "churn":
		return c.churn(ctx, cmd)
	case "reads":
		return c.reads(ctx, cmd)
	case "requests":
		return c.sent.reply(), nil
	case "create", "update", "patch":
		object, err := c.write(ctx, cmd)
		return objectReply(object, err)
	case "delete":
		return reply{}, c.delete(ctx, cmd)
	case "selfsubjectreview":
		return c.selfSubjectReview(ctx)
	case "raw":
		return c.raw(ctx, cmd)
	case "lease":
		return c.renewLease(ctx, cmd)
	case "elect":
		return c.elect(ctx, cmd)
	case "codes":
		return c.codes.reply(), nil
	case "peers":
		return c.dialer.peers(), nil
	case "reconnect":
		return c.dialer.reconnect(), nil
	default:
		return nil, fmt.Errorf("no such operation: %q", cmd.Op)
	}
}

func (c *client) isDynamic() bool { return c.options.encoding == "json" }

func (c *client) isPartial() bool { return c.options.encoding == "metadata" }

func (c *client) dynamicResource(cmd command) dynamic.ResourceInterface {
	return c.dynamic.Resource(cmd.gvr()).Namespace(cmd.Namespace)
}

// request prepares a typed request of the command's resource.
func (c *client) request(cmd command, verb string) *rest.Request {
	return c.restClient(cmd.gvr().GroupVersion()).Verb(verb).
		NamespaceIfScoped(cmd.Namespace, cmd.Namespace != "").Resource(cmd.Resource)
}

func (c *client) get(ctx context.Context, cmd command) (runtime.Object, error) {
	options := metav1.GetOptions{ResourceVersion: cmd.ResourceVersion}
	if c.isDynamic() {
		return c.dynamicResource(cmd).Get(ctx, cmd.Name, options)
	}
	return c.request(cmd, "GET").Name(cmd.Name).VersionedParams(&options, scheme.ParameterCodec).Do(ctx).Get()
}

func (c *client) listPage(ctx context.Context, cmd command) (runtime.Object, error) {
	return c.listWith(ctx, cmd, cmd.listOptions())
}

func (c *client) list(ctx context.Context, cmd command) (reply, error) {
	items := []any{}
	for pages := 1; ; pages++ {
		page, err := c.listPage(ctx, cmd)
		if err != nil {
			return nil, err
		}
		objects, err := meta.ExtractList(page)
		if err != nil {
			return nil, err
		}
		for _, object := range objects {
			items = append(items, describe(object, cmd.Full))
		}
		list, err := meta.ListAccessor(page)
		if err != nil {
			return nil, err
		}
		if !cmd.AllPages || list.GetContinue() == "" {
			return reply{
				"items": items, "count": len(items), "pages": pages, "resourceVersion": list.GetResourceVersion(),
				"continue": list.GetContinue(), "remaining": list.GetRemainingItemCount(),
			}, nil
		}
		cmd.Continue = list.GetContinue()
		cmd.ResourceVersion, cmd.ResourceVersionMatch = "", "" // not allowed beside a token
	}
}

func (c *client) write(ctx context.Context, cmd command) (runtime.Object, error) {
	if cmd.Op == "patch" {
		if c.isDynamic() {
			return c.dynamicResource(cmd).Patch(ctx, cmd.Name, types.MergePatchType, cmd.Patch, metav1.PatchOptions{})
		}
		return c.restClient(cmd.gvr().GroupVersion()).Patch(types.MergePatchType).
			NamespaceIfScoped(cmd.Namespace, cmd.Namespace != "").Resource(cmd.Resource).
			Name(cmd.Name).Body([]byte(cmd.Patch)).Do(ctx).Get()
	}
	if c.isDynamic() {
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(cmd.Object); err != nil {
			return nil, err
		}
		if cmd.Op == "create" {
			return c.dynamicResource(cmd).Create(ctx, object, metav1.CreateOptions{})
		}
		return c.dynamicResource(cmd).Update(ctx, object, metav1.UpdateOptions{})
	}
	object, _, err := scheme.Codecs.UniversalDeserializer().Decode(cmd.Object, nil, nil)
	if err != nil {
		return nil, err
	}
	if cmd.Op == "create" {
		return c.request(cmd, "POST").Body(object).Do(ctx).Get()
	}
	return c.request(cmd, "PUT").Name(cmd.Name).Body(object).Do(ctx).Get()
}

func (c *client) delete(ctx context.Context, cmd command) error {
	if c.isDynamic() {
		return c.dynamicResource(cmd).Delete(ctx, cmd.Name, metav1.DeleteOptions{})
	}
	return c.request(cmd, "DELETE").Name(cmd.Name).Do(ctx).Error()
}

func (c *client) selfSubjectReview(ctx context.Context) (reply, error) {
	review, err := c.typed.AuthenticationV1().SelfSubjectReviews().
		Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}
	user := review.Status.UserInfo
	return reply{"username": user.Username, "uid": user.UID, "groups": user.Groups, "extra": user.Extra}, nil
}

// raw sends a request as it stands, with the client's credential, and shows status, headers and body.
func (c *client) raw(ctx context.Context, cmd command) (reply, error) {
	method := cmd.Method
	if method == "" {
		method = http.MethodGet
	}
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.config.Host, "/")+cmd.Path,
		strings.NewReader(cmd.Body))
	if err != nil {
		return nil, err
	}
	for name, value := range cmd.Headers {
		request.Header.Set(name, value)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	headers := map[string]string{}
	for name, values := range response.Header {
		headers[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	r := reply{"code": response.StatusCode, "protocol": response.Proto, "headers": headers, "bytes": len(body)}
	if utf8.Valid(body) {
		r["body"] = string(body)
	} else {
		r["base64"] = base64.StdEncoding.EncodeToString(body)
	}
	return r, nil
}

func objectReply(object runtime.Object, err error) (reply, error) {
	if err != nil {
		return nil, err
	}
	return reply{"object": describe(object, true)}, nil
}

// describe shows an object: whole, or the metadata that tests compare.
func describe(object runtime.Object, full bool) any {
	if full {
		encoded, err := json.Marshal(object)
		if err != nil {
			return reply{"error": err.Error()}
		}
		return json.RawMessage(encoded)
	}
	m, err := meta.Accessor(object)
	if err != nil {
		return reply{"error": err.Error()}
	}
	return reply{
		"namespace": m.GetNamespace(), "name": m.GetName(), "uid": m.GetUID(), "resourceVersion": m.GetResourceVersion(),
	}
}
