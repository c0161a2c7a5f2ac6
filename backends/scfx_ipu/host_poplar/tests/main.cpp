// SPDX-License-Identifier: Apache-2.0
// Runs the named tests, or all; --list names them.
#include <iostream>

#include "test.hpp"

std::map<std::string, std::function<void()>> &tests() {
  static std::map<std::string, std::function<void()>> all;
  return all;
}

int main(int argc, char **argv) {
  std::vector<std::string> names(argv + 1, argv + argc);
  if (names.empty())
    for (const auto &t : tests()) names.push_back(t.first);
  if (names[0] == "--list") {
    for (const auto &t : tests()) std::cout << t.first << "\n";
    return 0;
  }
  int failed = 0;
  for (const std::string &name : names) {
    try {
      tests().at(name)();
      std::cout << "passed " << name << "\n";
    } catch (const std::exception &e) {
      std::cout << "FAILED " << name << ": " << e.what() << "\n";
      ++failed;
    }
  }
  return failed != 0;
}
