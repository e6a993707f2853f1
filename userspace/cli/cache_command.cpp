#include "cli/cache_command.h"

namespace holdfast::cli {
namespace {

using What = admin::CacheQuery::What;

void add_filters(CLI::App* command, admin::CacheQuery& query) {
  command
      ->add_option("--principal", query.principal,
                   "Only of this user, as the API server names it (system:serviceaccount:NS:NAME), "
                   "or of the principal with this id")
      ->type_name("USER");
  command->add_option("--resource", query.resource, "Only of this resource: pods, deployments.apps")
      ->type_name("RESOURCE");
}

}  // namespace

CLI::App* add_cache_command(CLI::App& app, const CacheCommand& parts) {
  auto* cache = app.add_subcommand("cache", "See what the cache holds, and remove it");
  cache->require_subcommand(1);
  cache->footer(parts.footer);
  const auto add = [&](const char* name, const char* description, What what) {
    auto* command = cache->add_subcommand(name, description);
    command->footer(parts.footer);
    command->callback([&query = parts.query, what] { query.what = what; });
    parts.add_common(command);
    return command;
  };
  add_filters(add("ls", "The lists that are remembered, and whether they are served", What::kLists),
              parts.query);
  add_filters(add("usage", "Who uses how much, by resource", What::kUsage), parts.query);
  auto* get = add("get", "Print a list, or one object of it, as JSON", What::kGet);
  get->add_option("id", parts.query.id, "Its id, or how that begins: see ls")
      ->type_name("ID")
      ->required();
  get->add_option("name", parts.query.name, "Only the object of this name")->type_name("NAME");
  get->add_option("-n,--namespace", parts.query.ns, "Only objects in this namespace")
      ->type_name("NAME");
  get->add_flag("--show-secrets", parts.query.secrets, "Print the contents of Secrets, too");
  auto* remove =
      add("rm", "Forget what was shown; it is learned again as clients ask for it", What::kRemove);
  add_filters(remove, parts.query);
  remove->add_flag("--all", parts.query.all, "Everything");
  return cache;
}

}  // namespace holdfast::cli
