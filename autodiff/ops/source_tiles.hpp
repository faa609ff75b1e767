// Tiles of images, copied with their padding, out of which convolutions read.
#pragma once
#include <algorithm>
#include <cstddef>
#include <ranges>

#include "../base/pool_vector.hpp"
#include "../kernels/kernels.hpp"
#include "windows.hpp"

namespace xtape::detail {

/// Along one axis: place q of a result reads for tap k the element (first + q·stride + k·step) / divisor of a
/// source, where that is whole and exists, and 0 elsewhere. Places q whose first + q·stride have the same
/// rest have the same taps. A tile holds what places from a multiple of the divisor on read: an interval of
/// the source, or where that would be longer, as with large strides, `taps` elements for each place.
struct Reading {
  std::ptrdiff_t in, out, taps, stride, step, first, divisor;

  static Reading of_outputs(const WindowAxis& a) {
    return {number(a.in),
            number(a.out),
            number(a.kernel),
            number(a.stride),
            number(a.dilation),
            -number(a.padding),
            1};
  }
  static Reading of_images(const WindowAxis& a) {
    return {number(a.out),       number(a.in),      number(a.kernel), 1,
            -number(a.dilation), number(a.padding), number(a.stride)};
  }

  bool is_interval() const { return interval(out) <= out * taps; }
  /// Elements of a tile of so many places.
  std::ptrdiff_t length(std::ptrdiff_t places) const {
    return is_interval() ? interval(places) : places * taps;
  }
  /// Where place q and tap k are in a tile: row(q) + column(k, rest).
  std::ptrdiff_t row(std::ptrdiff_t q) const {
    return is_interval() ? floor(first + q * stride) - low() : q * taps;
  }
  std::ptrdiff_t column(std::ptrdiff_t k, std::ptrdiff_t rest) const {
    return is_interval() ? (rest + k * step) / divisor : k;
  }
  std::ptrdiff_t rest(std::ptrdiff_t q) const {
    return first + q * stride - floor(first + q * stride) * divisor;
  }
  bool has(std::ptrdiff_t k, std::ptrdiff_t rest) const { return (rest + k * step) % divisor == 0; }
  /// Which element is at a place of the tile that begins with place q; −1 for none.
  std::ptrdiff_t element(std::ptrdiff_t q, std::ptrdiff_t place) const {
    std::ptrdiff_t at = low() + q * stride / divisor + place;
    if (!is_interval()) {
      at = first + (q + place / taps) * stride + place % taps * step;
      at = at % divisor == 0 ? at / divisor : -1;
    }
    return at >= 0 && at < in ? at : -1;
  }

 private:
  static std::ptrdiff_t number(std::size_t n) { return static_cast<std::ptrdiff_t>(n); }
  std::ptrdiff_t floor(std::ptrdiff_t a) const { return a / divisor - (a % divisor < 0 ? 1 : 0); }
  std::ptrdiff_t low() const { return floor(first + std::min<std::ptrdiff_t>(0, (taps - 1) * step)); }
  std::ptrdiff_t interval(std::ptrdiff_t places) const {
    return floor(first + (places - 1) * stride + std::max<std::ptrdiff_t>(0, (taps - 1) * step)) - low() + 1;
  }
};

/// How the channels of a result (N, groups · outer, …) come from those of a source (N, groups · inner, …).
/// Tasks compute a block of them at once, some panels of a group. Where a group has one channel of images,
/// panels are of several groups, and each lane has a channel of the source of its own.
struct ChannelBlocks {
  std::size_t groups, inner, outer, width;  ///< width: of a panel
  bool by_lane;
  std::size_t panels, ranges;  ///< of a group; a block is a range of panels

  struct Block {
    std::size_t group, panel, panels, first, count;  ///< first and count: of the result's channels
  };
  ChannelBlocks(std::size_t in_groups, std::size_t in, std::size_t out, std::size_t panel_width, bool lanes)
      : groups(lanes ? 1 : in_groups),
        inner(in),
        outer(lanes ? in_groups * out : out),
        width(panel_width),
        by_lane(lanes),
        panels(quotient_up(outer, width)),
        ranges(lanes ? panels : 1) {}
  /// Cuts groups until there are `wanted` blocks, if each still has some panels.
  void cut(std::size_t wanted) {
    if (!by_lane) ranges = std::clamp<std::size_t>(wanted / groups, 1, quotient_up(panels, 4));
  }
  std::size_t count() const { return groups * ranges; }
  std::size_t pitch() const { return quotient_up(panels, ranges) * width; }
  std::size_t all_panels() const { return groups * panels; }
  /// How many channels of the source lie beside each other in its tiles: those that are read one after the
  /// other from one cache line, or at once.
  std::size_t lanes() const { return by_lane || inner >= width ? width : 1; }
  std::size_t planes() const { return by_lane ? inner : quotient_up(inner, lanes()); }
  Block range(std::size_t group, std::size_t begin, std::size_t end) const {
    return {group, group * panels + begin, end - begin, group * outer + begin * width,
            std::min(outer, end * width) - begin * width};
  }
  Block block(std::size_t i) const {
    const std::size_t r = i % ranges;
    return range(i / ranges, r * panels / ranges, (r + 1) * panels / ranges);
  }
  Block one_panel(std::size_t i) const { return range(i / panels, i % panels, i % panels + 1); }
};

/// The images (N, channels, y.in, x.in) that are read, in tiles.
template <class T>
struct SourceTiles {
  Reading y, x;
  std::size_t N, planes, lanes;       ///< planes: of a tile, with `lanes` channels each
  std::size_t beside;                 ///< how many lanes are channels of the same group
  std::size_t samples = 1, rows = 1;  ///< of the result that a tile is for, at most
  std::size_t width, plane, image;    ///< of a tile: elements of a row, of a plane, of a sample
  PoolVector<std::ptrdiff_t> across;  ///< which elements of a row of the image are in one of a tile

  /// For a result of `columns` numbers at each place.
  SourceTiles(const Reading& of_y, const Reading& of_x, std::size_t images, const ChannelBlocks& channels,
              std::size_t columns)
      : y(of_y),
        x(of_x),
        N(images),
        planes(channels.planes()),
        lanes(channels.lanes()),
        beside(channels.by_lane ? 1 : lanes) {
    constexpr std::size_t most_source = (384 << 10) / sizeof(T), most_result = (256 << 10) / sizeof(T);
    constexpr std::size_t line = 64 / sizeof(T);
    const auto size_for = [&](std::ptrdiff_t n) {  // an odd number of cache lines: planes begin in all sets
      return (quotient_up(unsign(y.length(n)) * width * lanes, line) | 1) * line;
    };
    const auto fit = [&](std::size_t n, std::ptrdiff_t height) {
      return n * planes * size_for(height) <= most_source &&
             n * unsign(height * x.out) * columns <= most_result;
    };
    const auto whole = [&](std::ptrdiff_t n) {
      return std::min(y.out, (n + y.divisor - 1) / y.divisor * y.divisor);
    };
    width = unsign(x.length(x.out));
    std::ptrdiff_t most = y.out, tiles = 1;
    while (!fit(1, most) && whole(1) < most) most = whole((y.out - 1) / ++tiles + 1);
    rows = unsign(most);
    while (most == y.out && samples < N && fit(2 * samples, most)) samples *= 2;
    plane = size_for(most);
    image = planes * plane;
    for (std::size_t i = 0; i < width; ++i) across.push_back(x.element(0, static_cast<std::ptrdiff_t>(i)));
  }

  std::size_t places() const { return unsign(x.out) * rows; }  ///< of a sample
  std::size_t heights() const { return quotient_up(unsign(y.out), rows); }
  std::size_t count() const { return quotient_up(N, samples) * heights(); }
  /// Where channel j of a block is.
  std::ptrdiff_t at(std::size_t n, std::size_t j, std::ptrdiff_t row, std::ptrdiff_t column) const {
    return static_cast<std::ptrdiff_t>(n * image + j / beside * plane + j % beside +
                                       (unsign(row) * width + unsign(column)) * lanes);
  }

  /// Which channel of a block is in a lane of a plane, where lanes are of one group.
  std::size_t channel(std::size_t p, std::size_t lane) const { return p * beside + lane % beside; }

  struct Tile {
    std::size_t sample, samples, row, rows;
  };
  Tile tile(std::size_t i) const {
    const std::size_t n = i / heights() * samples, row = i % heights() * rows;
    return {n, std::min(samples, N - n), row, std::min(rows, unsign(y.out) - row)};
  }
  /// Copies what a tile reads; channel(plane, lane) says from which of the channels, none where it is beyond.
  template <class Channel>
  void copy(T* to, const Tile& tile, const T* from, std::size_t channels, const Channel& channel) const {
    // The images' elements of a row are neighbours, but for large strides.
    const auto begin = std::ranges::find_if(across, [](std::ptrdiff_t i) { return i >= 0; }) - across.begin();
    auto end = begin;
    while (unsign(end) < width && across[unsign(end)] == across[unsign(begin)] + end - begin) ++end;
    // And so are whole rows without padding.
    const std::size_t height = unsign(y.length(static_cast<std::ptrdiff_t>(tile.rows)));
    const bool is_one =
        begin == 0 && unsign(end) == width && x.in == end && y.is_interval() &&
        y.element(static_cast<std::ptrdiff_t>(tile.row), 0) >= 0 &&
        y.element(static_cast<std::ptrdiff_t>(tile.row), static_cast<std::ptrdiff_t>(height) - 1) >= 0;
    const std::size_t rows_at_once = is_one ? height : 1;
    for (std::size_t n = 0; n < tile.samples; ++n)
      for (std::size_t p = 0; p < planes; ++p) {
        std::size_t together = 1;  // lanes whose channels follow each other
        for (std::size_t l = 0; l < lanes; l += together) {
          for (together = 1; l + together < lanes && channel(p, l + together) == channel(p, l) + together;)
            ++together;
          for (std::size_t r = 0; r < height; r += rows_at_once) {
            T* const row = to + n * image + p * plane + r * width * lanes + l;
            const std::size_t c = channel(p, l), some = std::min(together, channels - std::min(c, channels));
            const auto i = y.element(static_cast<std::ptrdiff_t>(tile.row), static_cast<std::ptrdiff_t>(r));
            if (some == 0 || i < 0)
              for (std::size_t j = 0; j < width; ++j) std::fill_n(row + j * lanes, together, T(0));
            else
              copy_row(row, some,
                       from + (((tile.sample + n) * channels + c) * unsign(y.in) + unsign(i)) * unsign(x.in),
                       unsign(begin), unsign(end), (rows_at_once - 1) * width);
          }
        }
      }
  }

 private:
  static std::size_t unsign(std::ptrdiff_t n) { return static_cast<std::size_t>(n); }
  /// For so many neighbouring lanes, whose channels are a plane of the image apart.
  void copy_row(T* row, std::size_t some, const T* from, std::size_t begin, std::size_t end,
                std::size_t more) const {
    const auto apart = unsign(y.in * x.in);
    const auto each = [&](std::size_t i, std::size_t last) {
      for (; i < last; ++i)
        for (std::size_t l = 0; l < some; ++l)
          row[i * lanes + l] = across[i] < 0 ? T(0) : from[l * apart + unsign(across[i])];
    };
    each(0, begin);
    if (begin < end) {
      const T* const first = from + across[begin];
      if (lanes == 1)
        std::copy_n(first, end - begin + more, row + begin);
      else
        kernels<T>().transpose(row + begin * lanes, lanes, false, first, apart, some, end - begin + more,
                               T(1));
    }
    each(end, width);
  }
};

}  // namespace xtape::detail
