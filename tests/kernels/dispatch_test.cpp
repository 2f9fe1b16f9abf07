// The instruction set that is forced is the one that runs.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <set>

#include "base/error.h"
#include "kernel_cases.h"

namespace mnq::kernels::test {
namespace {

TEST(Dispatch, EachNameChoosesItsTable) {
  for (const KernelTable* table : available_kernel_tables()) EXPECT_EQ(&select_kernel_table(table->isa), table);
  EXPECT_STREQ(oracle().isa, "generic");
}

TEST(Dispatch, WithoutANameTheFastest) {
  EXPECT_EQ(&select_kernel_table(nullptr), available_kernel_tables().back());
  EXPECT_EQ(&select_kernel_table(""), available_kernel_tables().back());
}

TEST(Dispatch, AnUnknownNameIsAnErrorThatListsWhatThereIs) {
  try {
    select_kernel_table("sse9");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), Status::kUnsupported);
    EXPECT_NE(error.message().find("sse9"), std::string::npos);
    EXPECT_NE(error.suggestion().find("generic"), std::string::npos);
  }
}

// In a process of its own: the choice is made once.
TEST(Dispatch, TheEnvironmentForcesIt) {
  for (const KernelTable* table : available_kernel_tables()) {
    const pid_t child = fork();
    if (child == 0) {
      setenv("MNQ_ISA", table->isa, 1);
      _exit(&kernel_table() == table ? 0 : 1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << table->isa;
  }
}

// The entries that `table` has in common with `before`.
std::set<std::string> entries_in_common(const KernelTable& table, const KernelTable& before) {
  std::set<std::string> names;
#define MNQ_KERNEL(name) \
  if (table.name == before.name) names.insert(#name);
#include "kernels/kernel_entries.inc"
  return names;
}

// A table has the entries of the one before it where it says so, and nowhere else: what runs is not the oracle under
// another name.
TEST(Dispatch, TablesDiffer) {
  const auto all = available_kernel_tables();
  for (std::size_t i = 1; i < all.size(); ++i) {
    const std::set<std::string> said(all[i]->shared.begin(), all[i]->shared.end());
    EXPECT_EQ(entries_in_common(*all[i], *all[i - 1]), said) << all[i]->isa;
  }
}

TEST(Dispatch, EveryTableHasEveryEntry) {
  for (const KernelTable* table : available_kernel_tables()) {
#define MNQ_KERNEL(name) EXPECT_NE(table->name, nullptr) << table->isa;
#include "kernels/kernel_entries.inc"
  }
}

}  // namespace
}  // namespace mnq::kernels::test
