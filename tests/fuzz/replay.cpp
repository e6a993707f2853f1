// Usage: TARGET SECONDS FILE|FOLDER... Stands in for libFuzzer where there is none: runs a target
// on its corpus, and on mutations of that until the time is over. The same seed each time: what
// fails once fails again.
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <random>
#include <string>
#include <vector>

#include "fuzz.h"

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLongest = 1U << 20;  // bytes; splicing must not make inputs grow for ever
constexpr int kAtLeast = 200;               // mutations, however slow the machine is

std::string read(const fs::path& path) {
  std::ifstream file{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{file}, {}};
}

std::vector<std::string> read_corpus(int argc, char** argv) {
  std::vector<fs::path> paths;
  for (int i = 2; i < argc; ++i) {
    if (!fs::exists(argv[i])) continue;
    if (!fs::is_directory(argv[i])) {
      paths.emplace_back(argv[i]);
      continue;
    }
    for (const auto& entry : fs::recursive_directory_iterator{argv[i]})
      if (entry.is_regular_file()) paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());  // a folder has no order of its own
  std::vector<std::string> corpus;
  for (const auto& path : paths) corpus.push_back(read(path));
  return corpus;
}

class Mutator {
 public:
  explicit Mutator(const std::vector<std::string>& corpus) : corpus_{corpus} {}

  std::string next() {
    std::string text = corpus_[below(corpus_.size())];
    for (auto times = 1 + below(4); times > 0; --times) change(text);
    if (text.size() > kLongest) text.resize(kLongest);
    return text;
  }

 private:
  void change(std::string& text) {
    if (text.empty()) {
      text.push_back(static_cast<char>(random_()));
      return;
    }
    const auto at = below(text.size());
    switch (below(7)) {
      case 0:
        text[at] = static_cast<char>(text[at] ^ (1 << below(8)));
        break;
      case 1:
        text[at] = kTelling[below(sizeof kTelling)];
        break;
      case 2:
        text.insert(at, 1, static_cast<char>(random_()));
        break;
      case 3:
        text.erase(at, 1 + below(8));
        break;
      case 4:
        text.resize(at);
        break;
      case 5:
        text.insert(at, text.substr(at, 1 + below(32)));
        break;
      default: {
        const auto& other = corpus_[below(corpus_.size())];
        text = text.substr(0, at) + other.substr(other.empty() ? 0 : below(other.size()));
      }
    }
  }

  std::size_t below(std::size_t bound) { return bound == 0 ? 0 : random_() % bound; }

  // What length prefixes, numbers and texts break at.
  static constexpr char kTelling[] = {'\0', '\x7f', '\x80', '\xff', '\n', '"', '{', '\\', '0', '-'};
  const std::vector<std::string>& corpus_;
  std::mt19937 random_{20240229};
};

const std::string* current = nullptr;

/// As libFuzzer does: what a claim failed on is left behind, in the folder that the test runs in.
void keep_input(int) {
  std::ofstream{"crash-input", std::ios::binary} << *current;
  std::cerr << "the input that it failed on is in " << fs::current_path() / "crash-input"
            << "\n";
}

void run(const std::string& input) {
  current = &input;
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGABRT, keep_input);
  if (argc < 2) {
    std::cerr << "usage: " << argv[0] << " SECONDS FILE|FOLDER...\n";
    return 2;
  }
  auto corpus = read_corpus(argc, argv);
  std::cout << corpus.size() << " inputs";
  // Some targets take the first byte for themselves.
  for (std::size_t i = 0, count = corpus.size(); i < count; ++i)
    corpus.push_back('\x07' + corpus[i]);
  corpus.emplace_back();
  for (const auto& input : corpus) run(input);

  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{std::stoi(argv[1])};
  Mutator mutator{corpus};
  int mutations = 0;
  for (; mutations < kAtLeast || std::chrono::steady_clock::now() < end; ++mutations)
    run(mutator.next());
  std::cout << ", " << mutations << " mutations\n";
  return 0;
}
