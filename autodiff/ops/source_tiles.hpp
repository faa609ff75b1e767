// Tiles of images, copied with their padding, out of which convolutions read.
#pragma once
#include <algorithm>
#include <cstddef>

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
  std::size_t N, planes, lanes;            ///< planes: of a tile, with `lanes` channels each
  std::size_t beside;                      ///< how many lanes are channels of the same group
  std::size_t samples = 1, rows, columns;  ///< of the result that a tile is for, at most
  std::size_t width, plane, image;         ///< of a tile: elements of a row, of a plane, of a sample
  PoolVector<std::ptrdiff_t> across;       ///< which elements of an image's row are in a tile of each strip

  /// What a tile and its result are to take at most, to stay in the second-level cache.
  static constexpr std::size_t most_source = (384 << 10) / sizeof(T), most_result = (256 << 10) / sizeof(T),
                               most_size = most_source + most_result;

  /// For a result of `numbers` at each place. Tiles are of some samples, or where one is too large, of some
  /// rows, or at last of some columns: then no two of its rows have the same taps.
  SourceTiles(const Reading& of_y, const Reading& of_x, std::size_t images, const ChannelBlocks& channels,
              std::size_t numbers)
      : y(of_y),
        x(of_x),
        N(images),
        planes(channels.planes()),
        lanes(channels.lanes()),
        beside(channels.by_lane ? 1 : lanes) {
    constexpr std::size_t line = 64 / sizeof(T);
    // An odd number of cache lines: planes begin in all sets.
    const auto size_for = [&](std::ptrdiff_t high, std::ptrdiff_t wide) {
      return (quotient_up(unsign(y.length(high) * x.length(wide)) * lanes, line) | 1) * line;
    };
    const auto fit = [&](std::size_t n, std::ptrdiff_t high, std::ptrdiff_t wide) {
      return n * planes * size_for(high, wide) <= most_source &&
             n * unsign(high * wide) * numbers <= most_result;
    };
    const auto share = [](const Reading& of, std::ptrdiff_t tiles) {
      return std::min(of.out, ((of.out - 1) / tiles + of.divisor) / of.divisor * of.divisor);
    };
    std::ptrdiff_t high = y.out, wide = x.out, tiles = 1;
    while (!fit(1, high, wide) && share(y, y.out) < high) high = share(y, ++tiles);
    // Each tile takes the whole weight through the cache, and neighbours copy what both of them read.
    for (tiles = 2; !fit(1, high, wide); ++tiles) {
      const std::ptrdiff_t some = share(x, tiles);
      if (some < 64 || tiles * x.length(some) > 2 * x.length(x.out)) break;
      wide = some;
    }
    while (high == y.out && wide == x.out && samples < N && fit(2 * samples, high, wide)) samples *= 2;
    rows = unsign(high);
    columns = unsign(wide);
    width = unsign(x.length(wide));
    plane = size_for(high, wide);
    image = planes * plane;
    for (std::ptrdiff_t q = 0; q < x.out; q += wide)
      for (std::size_t i = 0; i < width; ++i) across.push_back(x.element(q, static_cast<std::ptrdiff_t>(i)));
  }

  std::size_t places() const { return rows * columns; }  ///< of a sample
  std::size_t heights() const { return quotient_up(unsign(y.out), rows); }
  std::size_t strips() const { return quotient_up(unsign(x.out), columns); }
  std::size_t count() const { return quotient_up(N, samples) * heights() * strips(); }
  /// Where channel j of a block is.
  std::ptrdiff_t at(std::size_t n, std::size_t j, std::ptrdiff_t row, std::ptrdiff_t column) const {
    return static_cast<std::ptrdiff_t>(n * image + j / beside * plane + j % beside +
                                       (unsign(row) * width + unsign(column)) * lanes);
  }

  /// Which channel of a block is in a lane of a plane, where lanes are of one group.
  std::size_t channel(std::size_t p, std::size_t lane) const { return p * beside + lane % beside; }

  struct Tile {
    std::size_t sample, samples, row, rows, column, columns;
  };
  Tile tile(std::size_t i) const {
    const std::size_t column = i % strips() * columns, row = i / strips() % heights() * rows,
                      n = i / strips() / heights() * samples;
    return {n,      std::min(samples, N - n),
            row,    std::min(rows, unsign(y.out) - row),
            column, std::min(columns, unsign(x.out) - column)};
  }
  /// Copies what a tile reads; channel(plane, lane) says from which of the channels, none where it is beyond.
  template <class Channel>
  void copy(T* to, const Tile& tile, const T* from, std::size_t channels, const Channel& channel) const {
    // The images' elements of a row are neighbours, but for large strides.
    const std::ptrdiff_t* const elements = across.data() + tile.column / columns * width;
    const auto begin =
        std::find_if(elements, elements + width, [](std::ptrdiff_t i) { return i >= 0; }) - elements;
    auto end = begin;
    while (unsign(end) < width && elements[end] == elements[begin] + end - begin) ++end;
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
                       elements, unsign(begin), unsign(end), (rows_at_once - 1) * width);
          }
        }
      }
  }

 private:
  static std::size_t unsign(std::ptrdiff_t n) { return static_cast<std::size_t>(n); }
  /// For so many neighbouring lanes, whose channels are a plane of the image apart.
  void copy_row(T* row, std::size_t some, const T* from, const std::ptrdiff_t* elements, std::size_t begin,
                std::size_t end, std::size_t more) const {
    const auto apart = unsign(y.in * x.in);
    const auto each = [&](std::size_t i, std::size_t last) {
      for (; i < last; ++i)
        for (std::size_t l = 0; l < some; ++l)
          row[i * lanes + l] = elements[i] < 0 ? T(0) : from[l * apart + unsign(elements[i])];
    };
    each(0, begin);
    if (begin < end) {
      const T* const first = from + elements[begin];
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
