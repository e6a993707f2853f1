#include <csignal>
#include <cstdlib>
#include <iostream>

#include "holdfast/agent/agent.h"
#include "holdfast/approver/approver.h"
#include "holdfast/cli/cli.h"

int main(int argc, char** argv) {
  // `holdfast trace | head` ends by a failed write, and a client that leaves is no reason to die.
  std::signal(SIGPIPE, SIG_IGN);
  // libtss2 would write each failure to stderr, too, in a form of its own. Before any thread.
  ::setenv("TSS2_LOG", "all+none", 0);
  return holdfast::cli::run(argc, argv,
                            {.out = std::cout,
                             .err = std::cerr,
                             .run_agent = holdfast::agent::run,
                             .run_approver = holdfast::approver::run});
}
