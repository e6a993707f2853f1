#include "holdfast/cli/cli.h"

#include <CLI/CLI.hpp>
#include <exception>
#include <map>
#include <ostream>

#include "cli/cache_command.h"
#include "cli/commands.h"
#include "config/values.h"

namespace holdfast::cli {
namespace {

using Kind = telemetry::TraceFilter::Kind;

constexpr const char* kExitCodes =
    "Exit status: 0 done (status: the agent serves), 1 failed (status: it does not, or no agent "
    "answers), 2 the command line or the configuration is wrong.";

const std::map<std::string, Format> kFormats{{"table", Format::kTable}, {"json", Format::kJson}};
const std::map<std::string, Kind> kKinds{{"flow", Kind::kFlow}, {"request", Kind::kRequest}};

CLI::App* add_command(CLI::App& app, const char* name, const char* description) {
  auto* command = app.add_subcommand(name, description);
  command->footer(kExitCodes);
  return command;
}

void add_config(CLI::App* command, std::string& path) {
  command->add_option("--config", path, "Configuration file")
      ->type_name("FILE")
      ->capture_default_str();
}
void add_socket(CLI::App* command, std::string& path) {
  command->add_option("--admin-socket", path, "The agent's unix socket (default: admin.socket)")
      ->type_name("PATH");
}
void add_format(CLI::App* command, Format& format) {
  command->add_option("-o,--output", format, "table or json")
      ->type_name("FORMAT")
      ->transform(CLI::CheckedTransformer(kFormats).description(""));
}

void add_approver_options(CLI::App* command, approver::ApproverOptions& options) {
  command
      ->add_option("--kubeconfig", options.kubeconfig,
                   "How to reach the API server (default: the service account of this pod)")
      ->type_name("FILE");
  command
      ->add_option_function<std::string>(
          "--max-lifetime",
          [&options](const std::string& text) {
            const auto lifetime = config::parse_duration(text);
            if (!lifetime) throw CLI::ValidationError{"--max-lifetime", lifetime.error().message};
            options.max_lifetime = std::chrono::duration_cast<std::chrono::seconds>(*lifetime);
          },
          "The longest that a certificate may live (default: 30d)")
      ->type_name("DURATION");
  command
      ->add_option("--node-label", options.node_label,
                   "Only for nodes with this label; choose one that a node can't set on itself")
      ->type_name("KEY=VALUE")
      ->capture_default_str();
  command
      ->add_option("--allow-name", options.allow_names,
                   "A name or address that certificates may have beside those of the real API "
                   "servers; may be repeated")
      ->type_name("NAME")
      ->allow_extra_args(false);
  command
      ->add_option("--listener", options.listeners,
                   "An address that agents listen on (intercept.listen); may be repeated")
      ->type_name("ADDRESS")
      ->allow_extra_args(false)
      ->capture_default_str();
}

}  // namespace

int run(int argc, const char* const* argv, Environment environment) {
  CLI::App app{"Keeps Kubernetes clients on this node reading when the API server is gone.",
               "holdfast"};
  app.footer(kExitCodes);
  app.require_subcommand(1);
  Target target;
  Format format = Format::kTable;
  TraceOptions trace_options;

  auto* agent_command = add_command(app, "agent", "Run the agent of this node");
  add_config(agent_command, target.config_path);
  add_socket(agent_command, target.admin_socket);

  approver::ApproverOptions approver_options;
  auto* approver_command = add_command(
      app, "approver", "Approve the serving certificates of opted-in nodes, in the cloud");
  add_approver_options(approver_command, approver_options);

  auto* status_command = add_command(app, "status", "Show how the running agent is doing");
  add_config(status_command, target.config_path);
  add_socket(status_command, target.admin_socket);
  add_format(status_command, format);

  auto* trace_command = add_command(
      app, "trace", "Follow connections to the API server and requests, as they happen");
  add_config(trace_command, target.config_path);
  add_socket(trace_command, target.admin_socket);
  add_format(trace_command, format);
  auto& filter = trace_options.filter;
  trace_command->add_option("--pod", filter.pod, "Only of the pod with this name")
      ->type_name("NAME")
      ->allow_extra_args(false);
  trace_command->add_option("--namespace", filter.ns, "Only of pods in this namespace")
      ->type_name("NAME")
      ->allow_extra_args(false);
  trace_command
      ->add_option(
          "--process", filter.process,
          "Only of this process: its pid, its name, or its executable with or without path")
      ->type_name("PROCESS");
  trace_command
      ->add_option("--verdict", filter.verdict,
                   "Only connections that were redirected, spliced or left direct, or requests "
                   "answered from upstream, cache, lease, local or tunnel")
      ->type_name("WHAT")
      ->check(CLI::IsMember({"redirected", "spliced", "direct", "upstream", "cache", "lease",
                             "local", "tunnel"})
                  .description(""));
  trace_command->add_option("--kind", filter.kind, "flow or request (default: both)")
      ->type_name("KIND")
      ->transform(CLI::CheckedTransformer(kKinds).description(""));
  trace_command->add_option("-n,--count", trace_options.count, "End after so many events")
      ->type_name("COUNT")
      ->check(CLI::NonNegativeNumber.description(""));

  admin::CacheQuery cache_query;
  auto* cache_command = add_cache_command(
      app, {.query = cache_query, .footer = kExitCodes, .add_common = [&](CLI::App* command) {
              add_config(command, target.config_path);
              add_socket(command, target.admin_socket);
              add_format(command, format);
            }});

  auto* version_command =
      add_command(app, "version", "Show versions and the commit it was built from");
  add_format(version_command, format);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    // --help is a ParseError with status 0.
    return app.exit(e, environment.out, environment.err) == 0 ? kHealthy : kUsage;
  }
  try {
    const auto given = [](const CLI::App* command) { return command->count("--config") > 0; };
    if (agent_command->parsed()) {
      return environment.run_agent({.config_path = target.config_path,
                                    .config_given = given(agent_command),
                                    .admin_socket = target.admin_socket});
    }
    if (approver_command->parsed()) return environment.run_approver(approver_options);
    if (status_command->parsed()) {
      target.config_given = given(status_command);
      return status(target, format, environment.out, environment.err);
    }
    if (trace_command->parsed()) {
      target.config_given = given(trace_command);
      return trace(target, trace_options, format, environment.out, environment.err);
    }
    if (cache_command->parsed()) {
      for (const auto* command : cache_command->get_subcommands())
        target.config_given = target.config_given || given(command);
      return cache(target, cache_query, format, environment.out, environment.err);
    }
    return version(format, environment.out);
  } catch (const std::exception& e) {
    environment.err << "holdfast: " << e.what() << "\n";
    return kUnhealthy;
  }
}

}  // namespace holdfast::cli
