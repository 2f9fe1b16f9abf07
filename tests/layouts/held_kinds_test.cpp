// Which weights layouts hold, and what becomes of others.
#include "layouts/held_kinds.h"

#include <gtest/gtest.h>

#include "layouts/layouts.h"

namespace mnq::test {
namespace {

QuantizedSpec spec_of(std::string_view scheme, bool symmetric, Granularity granularity, std::uint64_t group_size = 0,
                      Shape shape = {4, 96}) {
  QuantizedSpec spec;
  spec.scheme = scheme;
  spec.symmetric = symmetric;
  spec.granularity = granularity;
  spec.group_size = group_size;
  spec.shape = std::move(shape);
  return spec;
}

NearestSpec nearest(const Layout& layout, const QuantizedSpec& wanted) {
  return spec_of_kind(nearest_kind(layout.holds, wanted), wanted).value();
}

// Whatever is wanted, what is offered for it is held, and needs no change any more.
TEST(HeldKinds, OfferWhatTheyHold) {
  for (const Layout* layout : all_layouts()) {
    for (const Scheme* scheme : all_schemes()) {
      if (layout->holds.empty() || scheme->is_cast || scheme->blocks != nullptr || scheme->book != nullptr) continue;
      for (const bool symmetric : {true, false}) {
        for (const Granularity granularity : {Granularity::kTensor, Granularity::kChannel, Granularity::kGroup}) {
          SCOPED_TRACE(std::string(layout->name) + " " + std::string(scheme->name));
          const QuantizedSpec wanted =
              spec_of(scheme->name, symmetric, granularity, granularity == Granularity::kGroup ? 64 : 0, {4, 192});
          const NearestSpec offered = nearest(*layout, wanted);
          EXPECT_TRUE(holds(layout->holds, offered.spec));
          EXPECT_EQ(nearest(*layout, offered.spec).change, Change::kNothing);
          EXPECT_EQ(nearest(*layout, offered.spec).spec, offered.spec);
        }
      }
    }
  }
}

TEST(HeldKinds, OfBlocksAreTheirGroups) {
  const auto name_for = [](std::string_view scheme, bool symmetric) {
    return nearest_kind(kGgmlLayout.holds, spec_of(scheme, symmetric, Granularity::kChannel)).name;
  };
  EXPECT_EQ(name_for("qint8", true), "Q8_0");
  EXPECT_EQ(name_for("qint8", false), "Q8_0");
  EXPECT_EQ(name_for("quint8", false), "Q8_0");
  EXPECT_EQ(name_for("qint4", true), "Q4_0");
  EXPECT_EQ(name_for("qint4", false), "Q4_1");
  const QuantizedSpec made = nearest(kGgmlLayout, spec_of("qint8", true, Granularity::kChannel)).spec;
  EXPECT_EQ(made.granularity, Granularity::kGroup);
  EXPECT_EQ(made.group_size, 32u);
  EXPECT_EQ(made.scale_dtype, DType::kF16);
  EXPECT_FALSE(holds(kGgmlLayout.holds, spec_of("qint8", true, Granularity::kGroup, 32)));  // its scales are float32
}

TEST(HeldKinds, OfSeveralSizesHaveTheOneThatIsWantedAndFits) {
  const auto size_for = [](std::uint64_t wanted, std::int64_t columns) {
    const auto granularity = wanted == 0 ? Granularity::kChannel : Granularity::kGroup;
    const QuantizedSpec spec = spec_of("qint4", true, granularity, wanted, {4, columns});
    return nearest(kMlxLayout, spec).spec.group_size;
  };
  EXPECT_EQ(size_for(128, 256), 128u);
  EXPECT_EQ(size_for(32, 256), 32u);
  EXPECT_EQ(size_for(0, 256), 64u);
  EXPECT_EQ(size_for(128, 192), 64u);
  EXPECT_EQ(size_for(128, 96), 32u);
}

TEST(HeldKinds, MayBeBlocksOrWholeTensors) {
  const QuantizedSpec wanted = spec_of("float8_e4m3", true, Granularity::kChannel, 0, {5, 33});
  const QuantizedSpec blocks = nearest(kFloat8InverseLayout, wanted).spec;
  EXPECT_EQ(blocks.granularity, Granularity::kGroup);
  EXPECT_EQ(blocks.group_size, 128u);
  EXPECT_EQ(blocks.group_rows, 128u);
  EXPECT_TRUE(holds(kFloat8InverseLayout.holds, blocks));
  EXPECT_EQ(nearest(kComfyLayout, wanted).spec.granularity, Granularity::kTensor);
}

TEST(HeldKinds, OfBlocksFitNoOddRows) {
  for (const Shape& shape : {Shape{4, 33}, Shape{96}}) {
    const QuantizedSpec wanted = spec_of("qint8", true, Granularity::kChannel, 0, shape);
    EXPECT_FALSE(spec_of_kind(nearest_kind(kGgmlLayout.holds, wanted), wanted).has_value()) << shape_text(shape);
  }
}

TEST(HeldKinds, SayWhatHadToChange) {
  const auto change_of = [](const QuantizedSpec& wanted) { return nearest(kPackQuantizedLayout, wanted).change; };
  EXPECT_EQ(change_of(spec_of("qint4", false, Granularity::kGroup, 32)), Change::kNothing);
  EXPECT_EQ(change_of(spec_of("q4_1", false, Granularity::kGroup, 32)), Change::kScheme);
  EXPECT_EQ(change_of(spec_of("qint8", true, Granularity::kTensor)), Change::kScalePerTensor);
  EXPECT_EQ(change_of(spec_of("qint8", true, Granularity::kGroup, 64)), Change::kGroupSize);
  QuantizedSpec other_axis = spec_of("qint8", true, Granularity::kChannel);
  other_axis.channel_axis = 1;
  EXPECT_EQ(change_of(other_axis), Change::kChannelAxis);
  const QuantizedSpec made = nearest(kPackQuantizedLayout, spec_of("q4_1", false, Granularity::kGroup, 32)).spec;
  EXPECT_EQ(made.scheme, "qint4");
  EXPECT_FALSE(made.symmetric);
}

TEST(HeldKinds, GiveScalesTheDtypeOfTheWeight) {
  QuantizedSpec wanted = spec_of("qint8", true, Granularity::kChannel);
  for (const auto& [weight, scale] : {std::pair(DType::kBF16, DType::kBF16), {DType::kF64, DType::kF32}}) {
    wanted.weight_dtype = weight;
    EXPECT_EQ(nearest(kIntQuantizedLayout, wanted).spec.scale_dtype, scale);
  }
}

// Codes of the first are codes of the second one with the scales of the first.
TEST(HeldKinds, KeepScalesOfAsManyColumnsOrFewer) {
  const QuantizedSpec channel = spec_of("qint4", true, Granularity::kChannel);
  const QuantizedSpec by_32 = spec_of("qint4", true, Granularity::kGroup, 32);
  const QuantizedSpec by_64 = spec_of("qint4", true, Granularity::kGroup, 64);
  const QuantizedSpec tensor = spec_of("qint8", true, Granularity::kTensor);
  EXPECT_TRUE(keeps_scales(by_64, by_32));
  EXPECT_FALSE(keeps_scales(by_32, by_64));
  EXPECT_TRUE(keeps_scales(channel, by_64));
  EXPECT_FALSE(keeps_scales(by_64, channel));
  EXPECT_TRUE(keeps_scales(tensor, spec_of("qint8", true, Granularity::kGroup, 32)));
  EXPECT_FALSE(keeps_scales(spec_of("qint8", true, Granularity::kChannel), tensor));
  QuantizedSpec other_axis = channel, power_of_two = by_32;
  other_axis.channel_axis = 1;
  power_of_two.scale_dtype = DType::kF8E8M0;
  EXPECT_FALSE(keeps_scales(other_axis, channel));
  EXPECT_FALSE(keeps_scales(by_32, power_of_two));
}

TEST(HeldKinds, KeepScalesWhereCodesHaveAPlace) {
  const auto group = [](const char* scheme, bool symmetric) {
    return spec_of(scheme, symmetric, Granularity::kGroup, 32);
  };
  EXPECT_TRUE(keeps_scales(group("qint2", true), group("qint4", true)));
  EXPECT_FALSE(keeps_scales(group("qint4", true), group("qint2", true)));
  EXPECT_TRUE(keeps_scales(group("qint4", false), group("q4_1", false)));
  EXPECT_FALSE(keeps_scales(group("q4_1", false), group("qint4", false)));
  EXPECT_TRUE(keeps_scales(group("affine3", false), group("q4_1", false)));
  // Codes of 4 bits less their zero points are -15 to 15.
  EXPECT_FALSE(keeps_scales(group("qint4", false), group("qint4", true)));
  EXPECT_TRUE(keeps_scales(group("qint4", false), group("qint5", true)));
  EXPECT_FALSE(keeps_scales(group("nf4", true), group("qint8", true)));
}

}  // namespace
}  // namespace mnq::test
