#include "holdfast/kube/request_attributes.h"

#include <gtest/gtest.h>

#include <random>

namespace holdfast::kube {
namespace {

struct Case {
  const char* method;
  const char* target;
  const char* verb;
  const char* group;
  const char* version;
  const char* ns;
  const char* resource;
  const char* subresource;
  const char* name;
};

// After TestGetAPIRequestInfo in k8s.io/apiserver/pkg/endpoints/request/requestinfo_test.go.
const Case kCases[] = {
    {"GET", "/api/v1/namespaces", "list", "", "v1", "", "namespaces", "", ""},
    {"GET", "/api/v1/namespaces/other", "get", "", "v1", "other", "namespaces", "", "other"},
    {"GET", "/api/v1/namespaces/other/status", "get", "", "v1", "other", "namespaces", "status",
     "other"},
    {"PUT", "/api/v1/namespaces/other/finalize", "update", "", "v1", "other", "namespaces",
     "finalize", "other"},
    {"GET", "/api/v1/namespaces/other/pods", "list", "", "v1", "other", "pods", "", ""},
    {"GET", "/api/v1/namespaces/other/pods/foo", "get", "", "v1", "other", "pods", "", "foo"},
    {"HEAD", "/api/v1/namespaces/other/pods/foo", "get", "", "v1", "other", "pods", "", "foo"},
    {"GET", "/api/v1/pods", "list", "", "v1", "", "pods", "", ""},
    {"HEAD", "/api/v1/pods", "list", "", "v1", "", "pods", "", ""},
    {"GET", "/api/v1/pods/", "list", "", "v1", "", "pods", "", ""},
    {"POST", "/api/v1/namespaces/other/pods", "create", "", "v1", "other", "pods", "", ""},
    {"PUT", "/api/v1/namespaces/other/pods/foo", "update", "", "v1", "other", "pods", "", "foo"},
    {"PATCH", "/api/v1/namespaces/other/pods/foo", "patch", "", "v1", "other", "pods", "", "foo"},
    {"DELETE", "/api/v1/namespaces/other/pods/foo", "delete", "", "v1", "other", "pods", "", "foo"},
    {"DELETE", "/api/v1/namespaces/other/pods", "deletecollection", "", "v1", "other", "pods", "",
     ""},
    {"DELETE", "/api/v1/nodes", "deletecollection", "", "v1", "", "nodes", "", ""},
    {"OPTIONS", "/api/v1/pods", "other", "", "v1", "", "pods", "", ""},

    // The deprecated verbs in the path.
    {"GET", "/api/v1/proxy/namespaces/other/pods/foo", "proxy", "", "v1", "other", "pods", "",
     "foo"},
    {"GET", "/api/v1/proxy/namespaces/other/pods/foo/sub/path", "proxy", "", "v1", "other", "pods",
     "", "foo"},
    {"GET", "/api/v1/watch/pods", "watch", "", "v1", "", "pods", "", ""},
    {"GET", "/api/v1/watch/namespaces/other/pods", "watch", "", "v1", "other", "pods", "", ""},
    {"GET", "/api/v1/watch/namespaces/other/pods/foo", "watch", "", "v1", "other", "pods", "",
     "foo"},
    {"GET", "/apis/apps/v1/watch/namespaces/other/deployments", "watch", "apps", "v1", "other",
     "deployments", "", ""},
    {"GET", "/api/v1/watch/pods?fieldSelector=metadata.name%3Dx", "watch", "", "v1", "", "pods", "",
     ""},

    // Watch as a parameter: only absence, "0" and "false" say no.
    {"GET", "/api/v1/namespaces/other/pods?watch=1", "watch", "", "v1", "other", "pods", "", ""},
    {"GET", "/api/v1/pods?watch", "watch", "", "v1", "", "pods", "", ""},
    {"GET", "/api/v1/pods?watch=", "watch", "", "v1", "", "pods", "", ""},
    {"GET", "/api/v1/pods?watch=yes", "watch", "", "v1", "", "pods", "", ""},
    {"GET", "/api/v1/pods?watch=False", "list", "", "v1", "", "pods", "", ""},
    {"GET", "/api/v1/pods?watch=0", "list", "", "v1", "", "pods", "", ""},
    {"GET", "/api/v1/pods?watch=0&watch=1", "list", "", "v1", "", "pods", "", ""},
    {"GET", "/api/v1/namespaces/other/pods/foo?watch=true", "get", "", "v1", "other", "pods", "",
     "foo"},

    // A name out of the field selector.
    {"GET", "/api/v1/namespaces/other/pods?fieldSelector=metadata.name%3Dfoo", "list", "", "v1",
     "other", "pods", "", "foo"},
    {"GET", "/api/v1/nodes?watch=true&fieldSelector=metadata.name=n1", "watch", "", "v1", "",
     "nodes", "", "n1"},
    {"GET", "/api/v1/pods?fieldSelector=metadata.name%3Da%2Fb", "list", "", "v1", "", "pods", "",
     ""},
    {"GET", "/api/v1/pods?fieldSelector=metadata.name%3D..", "list", "", "v1", "", "pods", "", ""},
    {"GET", "/api/v1/pods?fieldSelector=metadata.name!%3Dfoo", "list", "", "v1", "", "pods", "",
     ""},
    {"GET", "/api/v1/pods?fieldSelector=spec.nodeName%3Dn,metadata.name%3D%3Dp", "list", "", "v1",
     "", "pods", "", "p"},
    {"DELETE", "/api/v1/namespaces/x/pods?fieldSelector=metadata.name%3Dfoo", "deletecollection",
     "", "v1", "x", "pods", "", ""},

    // Subresources, groups, and what connects.
    {"GET", "/api/v1/namespaces/other/pods/foo/log", "get", "", "v1", "other", "pods", "log",
     "foo"},
    {"POST", "/api/v1/namespaces/other/pods/foo/exec?command=ls", "create", "", "v1", "other",
     "pods", "exec", "foo"},
    {"GET", "/api/v1/namespaces/other/pods/foo/portforward", "get", "", "v1", "other", "pods",
     "portforward", "foo"},
    {"GET", "/api/v1/nodes/n1/proxy/metrics/cadvisor", "get", "", "v1", "", "nodes", "proxy", "n1"},
    {"PUT", "/apis/apps/v1/namespaces/d/deployments/web/scale", "update", "apps", "v1", "d",
     "deployments", "scale", "web"},
    {"GET", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n1", "get",
     "coordination.k8s.io", "v1", "kube-node-lease", "leases", "", "n1"},
    {"GET", "/apis/example.com/v1alpha1/namespaces/a/namespaces/b", "get", "example.com",
     "v1alpha1", "a", "namespaces", "", "b"},

    // Escapes are undone before the path is split, as the authorizer sees it.
    {"GET", "/api/v1/namespaces/other/pods/a%20b+c", "get", "", "v1", "other", "pods", "", "a b+c"},
    {"GET", "/api/v1/namespaces%2Fother/secrets", "list", "", "v1", "other", "secrets", "", ""},
    {"GET", "//api/v1/pods", "list", "", "v1", "", "pods", "", ""},
};

TEST(ParseRequest, SaysWhatRequestInfoSays) {
  for (const auto& c : kCases) {
    const auto r = parse_request(c.method, c.target);
    ASSERT_TRUE(r) << c.target << ": " << r.error().to_string();
    EXPECT_TRUE(r->resource_request) << c.target;
    EXPECT_EQ(to_string(r->verb), c.verb) << c.method << ' ' << c.target;
    EXPECT_EQ(r->gvr, (GroupVersionResource{c.group, c.version, c.resource})) << c.target;
    EXPECT_EQ(r->subresource, c.subresource) << c.target;
    EXPECT_EQ(r->ns, c.ns) << c.target;
    EXPECT_EQ(r->name, c.name) << c.target;
  }
}

TEST(ParseRequest, KnowsPlainPaths) {
  for (const char* target : {"/", "/healthz", "/api", "/api/v1", "/api/v1/", "/apis", "/apis/apps",
                             "/apis/apps/v1", "/version", "/openapi/v3/apis/apps/v1?hash=1",
                             "/metrics/x/y/z", "/.well-known/openid-configuration"}) {
    const auto get = parse_request("GET", target);
    ASSERT_TRUE(get) << target;
    EXPECT_FALSE(get->resource_request) << target;
    EXPECT_EQ(get->verb, Verb::kGet) << target;
    EXPECT_EQ(parse_request("POST", target)->verb, Verb::kOther) << target;
    EXPECT_FALSE(get->is_read());
  }
  EXPECT_EQ(parse_request("GET", "/openapi/v3?x=1")->path, "/openapi/v3");
}

TEST(ParseRequest, ReadsListOptions) {
  const auto r = parse_request(
      "GET",
      "/api/v1/pods?labelSelector=app+in+%28a%2Cb%29&fieldSelector=spec.nodeName%3Dn1&limit=500&"
      "continue=abc&resourceVersion=42&resourceVersionMatch=NotOlderThan&watch=1&"
      "allowWatchBookmarks=true&sendInitialEvents=true&timeoutSeconds=300&pretty=true");
  ASSERT_TRUE(r);
  const auto& o = r->options;
  EXPECT_EQ(o.label_selector, "app in (a,b)");
  EXPECT_EQ(o.field_selector, "spec.nodeName=n1");
  EXPECT_EQ(o.limit, 500U);
  EXPECT_EQ(o.continue_token, "abc");
  EXPECT_EQ(o.resource_version, "42");
  EXPECT_EQ(o.match, ResourceVersionMatch::kNotOlderThan);
  EXPECT_TRUE(o.watch);
  EXPECT_TRUE(o.allow_watch_bookmarks);
  EXPECT_TRUE(o.send_initial_events);
  EXPECT_EQ(o.timeout_seconds, 300U);
  EXPECT_TRUE(r->pretty);
  EXPECT_FALSE(r->dry_run);
}

TEST(ParseRequest, ReadsOptionsOfOtherVerbs) {
  EXPECT_TRUE(parse_request("POST", "/api/v1/namespaces/d/pods?dryRun=All")->dry_run);
  EXPECT_EQ(parse_request("GET", "/api/v1/namespaces/d/pods/x?resourceVersion=0")
                ->options.resource_version,
            "0");
  // A create's parameters are not list options: nothing to refuse.
  EXPECT_TRUE(parse_request("POST", "/api/v1/namespaces/d/pods?limit=abc"));
  EXPECT_FALSE(parse_request("GET", "/api/v1/pods?pretty=0")->pretty);
}

TEST(ParseRequest, TimeOutsOutsideTheRange) {
  const auto timeout = [](const char* text) {
    return parse_request("GET", std::string{"/api/v1/pods?watch=1&timeoutSeconds="} + text)
        ->options.timeout_seconds;
  };
  EXPECT_EQ(timeout("0"), std::nullopt);  // the server's own choice
  EXPECT_EQ(timeout("-5"), 1U);           // ends at once
  EXPECT_EQ(timeout("99999999999"), 4294967295U);
}

TEST(ParseRequest, RefusesWhatTheServerRefuses) {
  for (const char* target :
       {"", "pods", "*", "http://x/api/v1/pods", "/api/v1/pods/%zz", "/api/v1/pods/%2",
        "/api/v1/pods/a\x01", "/api/v1/pods?a=\x7f", "/healthz?\n", "/api/v1/watch",
        "/api/v1/proxy", "/api/v1/pods?limit=abc",
        "/api/v1/pods?limit=", "/api/v1/pods?timeoutSeconds=1.5", "/api/v1/pods?limit=1e3",
        "/api/v1/pods?labelSelector=a%3D%3D%3Db", "/api/v1/pods?fieldSelector=x",
        "/api/v1/pods?resourceVersionMatch=Newest"}) {
    const auto r = parse_request("GET", target);
    ASSERT_FALSE(r) << target;
    EXPECT_EQ(r.error().code, make_error_code(Errc::kInvalidArgument)) << target;
  }
}

TEST(ParseRequest, DropsMalformedQueryPairsAsGoDoes) {
  const auto r = parse_request("GET", "/api/v1/pods?labelSelector=%zz&a;watch=1&limit=5&&=x");
  ASSERT_TRUE(r);
  EXPECT_EQ(r->verb, Verb::kList);
  EXPECT_EQ(r->options.label_selector, "");
  EXPECT_EQ(r->options.limit, 5U);
}

TEST(ParseRequest, ReadsThatMayBeRemembered) {
  const auto is_read = [](const char* method, const char* target) {
    return parse_request(method, target)->is_read();
  };
  EXPECT_TRUE(is_read("GET", "/api/v1/pods"));
  EXPECT_TRUE(is_read("GET", "/api/v1/pods?watch=1"));
  EXPECT_TRUE(is_read("GET", "/api/v1/namespaces/d/pods/x/status"));
  EXPECT_TRUE(is_read("GET", "/apis/apps/v1/namespaces/d/deployments/x/scale"));
  EXPECT_FALSE(is_read("GET", "/api/v1/namespaces/d/pods/x/log"));
  EXPECT_FALSE(is_read("GET", "/api/v1/namespaces/d/pods/x/exec"));
  EXPECT_FALSE(is_read("GET", "/api/v1/proxy/nodes/x"));
  EXPECT_FALSE(is_read("POST", "/api/v1/namespaces/d/pods"));
  EXPECT_FALSE(is_read("GET", "/apis/coordination.k8s.io/v1/namespaces/d/leases/x"));
  EXPECT_FALSE(is_read("GET", "/apis/authorization.k8s.io/v1/x"));
  EXPECT_FALSE(is_read("GET", "/healthz"));
}

TEST(ParseRequest, SurvivesGarbage) {
  std::mt19937 random{1};
  const std::string alphabet = "/api/apis/v1namespaces?watch=&%2Ffieldselector=,!+;\x01";
  for (int i = 0; i < 20000; ++i) {
    std::string target = "/";
    for (auto n = random() % 40; n > 0; --n) target += alphabet[random() % alphabet.size()];
    const auto r = parse_request("GET", target);
    if (!r) continue;
    EXPECT_EQ(r->path.front(), '/');
  }
}

}  // namespace
}  // namespace holdfast::kube
