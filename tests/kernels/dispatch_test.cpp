// The instruction set that is forced is the one that runs.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "base/error.h"
#include "kernel_cases.h"

namespace mnq::kernels::test {
namespace {

TEST(Dispatch, EachNameChoosesItsTable) {
  const KernelTables all = available_kernel_tables();
  for (std::size_t i = 0; i < all.count; ++i) EXPECT_EQ(&select_kernel_table(all.tables[i]->isa), all.tables[i]);
  EXPECT_STREQ(all.tables[0]->isa, "generic");
}

TEST(Dispatch, WithoutANameTheFastest) {
  const KernelTables all = available_kernel_tables();
  EXPECT_EQ(&select_kernel_table(nullptr), all.tables[all.count - 1]);
  EXPECT_EQ(&select_kernel_table(""), all.tables[all.count - 1]);
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
  const KernelTables all = available_kernel_tables();
  for (std::size_t i = 0; i < all.count; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      setenv("MNQ_ISA", all.tables[i]->isa, 1);
      _exit(&kernel_table() == all.tables[i] ? 0 : 1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << all.tables[i]->isa;
  }
}

// No two tables share their quantizing kernel: what runs is not the oracle under another name.
TEST(Dispatch, TablesDiffer) {
  const KernelTables all = available_kernel_tables();
  for (std::size_t i = 1; i < all.count; ++i) {
    EXPECT_NE(all.tables[i]->quantize_rows, all.tables[i - 1]->quantize_rows);
    EXPECT_NE(all.tables[i]->dequantize_rows, all.tables[i - 1]->dequantize_rows);
  }
}

}  // namespace
}  // namespace mnq::kernels::test
