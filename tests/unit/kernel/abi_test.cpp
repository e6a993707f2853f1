// The structures that the BPF programs write, seen from this side of the fence.
#include <gtest/gtest.h>

#include <type_traits>

#include "holdfast/abi/config.h"
#include "holdfast/abi/decision.h"
#include "holdfast/abi/flow.h"
#include "holdfast/abi/records.h"

namespace {

/// No byte is padding that the compiler chose: map keys are compared as bytes.
template <class T>
constexpr bool kDense = std::has_unique_object_representations_v<T>;

TEST(AbiTest, HasNoHiddenPadding) {
  EXPECT_TRUE(kDense<hf_endpoint>);
  EXPECT_TRUE(kDense<hf_tuple>);
  EXPECT_TRUE(kDense<hf_circuit_key>);
  EXPECT_TRUE(kDense<hf_circuit>);
  EXPECT_TRUE(kDense<hf_peer_address>);
  EXPECT_TRUE(kDense<hf_peer_cookies>);
  EXPECT_TRUE(kDense<hf_config>);
  EXPECT_TRUE(kDense<hf_control>);
}

TEST(AbiTest, CountersDoNotOverlap) {
  EXPECT_GT(static_cast<int>(HF_COUNTER_VERDICT), static_cast<int>(HF_COUNTER_CIRCUIT_OPENED));
  EXPECT_EQ(HF_COUNTER_VERDICT + static_cast<int>(HF_VERDICT_COUNT),
            static_cast<int>(HF_COUNTER_REASON));
  EXPECT_EQ(HF_COUNTER_REASON + static_cast<int>(HF_REASON_COUNT),
            static_cast<int>(HF_COUNTER_FAILURE));
}

TEST(AbiTest, SlotCountIsAPowerOfTwo) {
  EXPECT_EQ(HF_PEER_COOKIES & (HF_PEER_COOKIES - 1), 0);
}

}  // namespace
