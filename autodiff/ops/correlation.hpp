// The products of convolutions without columns: the kernel of products by offsets reads the windows out of
// tiles of images, copied with their padding, which stay in the second-level cache.
#pragma once
#include <algorithm>
#include <cstddef>
#include <ranges>

#include "../base/pool_vector.hpp"
#include "../kernels/gemm.hpp"
#include "../kernels/kernels.hpp"
#include "../tape/op.hpp"
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

  std::size_t channel(std::size_t p, std::size_t lane) const { return p * beside + lane % beside; }

  struct Tile {
    std::size_t sample, samples, row, rows;
    bool operator==(const Tile&) const = default;
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
        // Lanes that are channels one after the other go at once.
        std::size_t together = 1;
        while (together < lanes && channel(p, together) == channel(p, 0) + together) ++together;
        for (std::size_t l = 0; l < lanes; l += together)
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

/// task(slot, i) for each i < count, by `slots` that have memory of their own and are shared out among
/// threads.
template <class F>
void in_slots(std::size_t slots, std::size_t count, const F& task) {
  parallel_for(slots, [&](std::size_t slot) {
    for (std::size_t i = slot * count / slots; i < (slot + 1) * count / slots; ++i) task(slot, i);
  });
}

/// What the convolution of images (N, groups · in, …) by a weight (groups · out, in, kh, kw) multiplies.
struct Correlation {
  Windows windows;
  std::size_t groups, N, out;  ///< out: of a group

  std::size_t in() const { return windows.channels / groups; }
  std::size_t taps() const { return windows.kernel(); }
  bool by_lane() const { return groups > 1 && in() == 1; }
  std::size_t multiplications() const { return N * windows.outputs() * groups * out * in() * taps(); }
  /// Whether the images are already what the kernel multiplies, and BLAS takes them as they are: for fewer
  /// places it would arrange the weight anew too often.
  bool is_product() const {
    const auto plain = [](const WindowAxis& a) { return a.kernel == 1 && a.stride == 1 && a.padding == 0; };
    return groups == 1 && plain(windows.y) && plain(windows.x) && windows.plane() >= 128;
  }
  /// Waking threads is worth it.
  bool is_shared() const { return multiplications() > (1 << 20); }
  static constexpr std::size_t most_slots = 16;
};

/// Where the weight of channel o of a group of the result, by which channel j of the same group of the source
/// is multiplied, lies: from data + group · the number of the group + o · lane + j · inner on, tap by tap.
template <class T>
struct Weights {
  const T* data;
  std::size_t group, lane, inner;
};

/// y = bias + Σ source · weight; channel(block, j, lane) says which of the source's channels (there are
/// `all`) channel j of a block's group is.
template <class T, class Channel>
void correlate(Target<T> y, const Correlation& c, const Reading& of_y, const Reading& of_x,
               ChannelBlocks blocks, const T* source, std::size_t all, const Channel& channel,
               const Weights<T>& weights, const T* bias) {
  multiply_adds += c.multiplications();
  const std::size_t W = blocks.width, most_slots = c.is_shared() ? Correlation::most_slots : 1;
  const SourceTiles<T> tiles(of_y, of_x, c.N, blocks, blocks.by_lane ? W : blocks.panels * W);
  if (tiles.count() < most_slots) blocks.cut(most_slots / std::max<std::size_t>(1, tiles.count()));
  const std::size_t pitch = blocks.pitch(), places = tiles.places(),
                    lines = static_cast<std::size_t>(of_x.out);

  // Places of a tile with the same taps. Along each axis these are every place, or every divisor-th.
  struct Part {
    std::ptrdiff_t y;
    std::size_t across, row, K, column, taps, tap;  ///< row, column, tap: where they begin in the lists below
    std::size_t rows(std::size_t height, const Reading& of) const {
      const auto h = static_cast<std::ptrdiff_t>(height);
      return h <= y ? 0 : static_cast<std::size_t>((h - y - 1) / of.divisor + 1) * across;
    }
  };
  PoolVector<Part> parts;
  PoolVector<std::ptrdiff_t> a_row, c_row, a_column, taps;
  const auto height = static_cast<std::ptrdiff_t>(tiles.rows);
  for (std::ptrdiff_t qy = 0; qy < std::min(of_y.divisor, height); ++qy)
    for (std::ptrdiff_t qx = 0; qx < std::min(of_x.divisor, of_x.out); ++qx) {
      const std::ptrdiff_t rest_y = of_y.rest(qy), rest_x = of_x.rest(qx);
      const std::size_t tap = taps.size(), row = a_row.size(), column = a_column.size();
      for (std::ptrdiff_t ky = 0; ky < of_y.taps; ++ky)
        for (std::ptrdiff_t kx = 0; kx < of_x.taps; ++kx)
          if (of_y.has(ky, rest_y) && of_x.has(kx, rest_x)) taps.push_back(ky * of_x.taps + kx);
      if (taps.size() == tap) continue;
      for (std::size_t j = 0; j < blocks.inner; ++j)
        for (std::size_t t = tap; t < taps.size(); ++t)
          a_column.push_back(tiles.at(0, j, of_y.column(taps[t] / of_x.taps, rest_y),
                                      of_x.column(taps[t] % of_x.taps, rest_x)));
      for (std::size_t n = 0; n < tiles.samples; ++n)
        for (std::ptrdiff_t oy = qy; oy < height; oy += of_y.divisor)
          for (std::ptrdiff_t ox = qx; ox < of_x.out; ox += of_x.divisor) {
            const std::size_t place = n * places + static_cast<std::size_t>(oy * of_x.out + ox);
            a_row.push_back(tiles.at(n, 0, of_y.row(oy), of_x.row(ox)));
            c_row.push_back(static_cast<std::ptrdiff_t>(place * W));
          }
      parts.push_back({qy, static_cast<std::size_t>((of_x.out - qx - 1) / of_x.divisor + 1), row,
                       a_column.size() - column, column, taps.size() - tap, tap});
    }

  const std::size_t panel = a_column.size() * W;
  Tensor<T> packed = Tensor<T>::uninitialized({blocks.all_panels(), panel}, "conv2d");
  const auto pack = [&](T* to, const ChannelBlocks::Block& block, const Part& part) {
    const T* const first = weights.data + block.group * weights.group +
                           (block.first - block.group * blocks.outer) * weights.lane;
    if (block.count < W) std::fill_n(to, part.K * W, T(0));
    if (part.K == blocks.inner * c.taps() && weights.inner == c.taps())
      return kernels<T>().transpose(to, W, false, first, weights.lane, block.count, part.K, T(1));
    for (std::size_t j = 0; j < blocks.inner; ++j)
      for (std::size_t t = 0; t < part.taps; ++t, to += W) {
        const T* const w = first + j * weights.inner + taps[part.tap + t];
        for (std::size_t l = 0; l < block.count; ++l) to[l] = w[l * weights.lane];
      }
  };
  for_blocks(blocks.all_panels(), packed.size(),
             [&, all_packed = packed.mutable_data()](std::size_t from, std::size_t to) {
               for (std::size_t p = from; p < to; ++p)
                 for (const Part& part : parts)
                   pack(all_packed + p * panel + part.column * W, blocks.one_panel(p), part);
             });

  const std::size_t tasks = tiles.count() * blocks.count(), slots = std::min(tasks, most_slots),
                    source_size = tiles.samples * tiles.image, result_panel = tiles.samples * places * W,
                    result_size = result_panel * (pitch / W);
  Tensor<T> memory = Tensor<T>::uninitialized({slots, source_size + result_size}, "conv2d");
  const std::size_t result_plane = static_cast<std::size_t>(of_y.out * of_x.out);
  in_slots(slots, tasks, [&, own = memory.mutable_data()](std::size_t slot, std::size_t task) {
    T* const tile_data = own + slot * (source_size + result_size);
    T* const result = tile_data + source_size;
    const auto tile = tiles.tile(task / blocks.count());
    const auto block = blocks.block(task % blocks.count());
    tiles.copy(tile_data, tile, source, all,
               [&](std::size_t p, std::size_t l) { return channel(block, tiles.channel(p, l), l); });
    for (std::size_t p = 0; p < block.panels; ++p) {
      const std::size_t some = std::min(W, block.count - p * W);
      T* const to = result + p * result_panel;
      std::fill_n(to, W, T(0));
      if (bias) std::copy_n(bias + block.first + p * W, some, to);
      const std::size_t size = tile.samples * places * W;
      for (std::size_t done = W; done < size; done *= 2)
        std::copy_n(to, std::min(done, size - done), to + done);
    }
    for (const Part& part : parts)
      kernels<T>().indexed_gemm(result, c_row.data() + part.row, result_panel,
                                tile.samples * part.rows(tile.rows, of_y), part.K, block.panels, tile_data,
                                a_row.data() + part.row, a_column.data() + part.column, blocks.by_lane,
                                packed.data() + block.panel * panel + part.column * W, panel);
    for (std::size_t n = 0; n < tile.samples; ++n)
      for (std::size_t p = 0; p < block.panels; ++p)
        kernels<T>().transpose(
            y.data + ((tile.sample + n) * blocks.groups * blocks.outer + block.first + p * W) * result_plane +
                tile.row * lines,
            result_plane, y.accumulate, result + p * result_panel + n * places * W, W, tile.rows * lines,
            std::min(W, block.count - p * W), T(1));
  });
}

/// The weight's gradient: Σ over the places of images x and of g (N, groups · out, …).
template <class T, class Channel>
void correlate_weight(Target<T> dw, const Correlation& c, ChannelBlocks blocks, const T* x, const T* g,
                      const Channel& channel) {
  multiply_adds += c.multiplications();
  const Reading of_y = Reading::of_outputs(c.windows.y), of_x = Reading::of_outputs(c.windows.x);
  const std::size_t W = blocks.width, K = blocks.inner * c.taps(),
                    most_slots = c.is_shared() ? Correlation::most_slots : 1;
  const SourceTiles<T> tiles(of_y, of_x, c.N, blocks, blocks.by_lane ? W : blocks.panels * W);
  // A small gradient is summed for parts of the tiles at once, the channels of a large one are shared out.
  std::size_t shares = 1;
  if (blocks.all_panels() * W * K > 1 << 16)
    blocks.cut(most_slots);
  else
    shares = std::clamp<std::size_t>(most_slots / std::max<std::size_t>(1, blocks.count()), 1,
                                     std::max<std::size_t>(1, tiles.count()));
  const std::size_t pitch = blocks.pitch(), places = tiles.places(), lines = c.windows.x.out;
  PoolVector<std::ptrdiff_t> a_row, c_row, a_column;
  for (std::size_t p = 0; p < tiles.planes; ++p)
    for (std::size_t tap = 0; tap < c.taps(); ++tap)
      for (std::size_t j = p * tiles.beside; j < std::min(blocks.inner, (p + 1) * tiles.beside); ++j) {
        const auto k = static_cast<std::ptrdiff_t>(tap);
        c_row.push_back(static_cast<std::ptrdiff_t>((j * c.taps() + tap) * W));
        a_row.push_back(tiles.at(0, j, of_y.column(k / of_x.taps, 0), of_x.column(k % of_x.taps, 0)));
      }
  for (std::size_t n = 0; n < tiles.samples; ++n)
    for (std::size_t oy = 0; oy < tiles.rows; ++oy)
      for (std::ptrdiff_t ox = 0; ox < of_x.out; ++ox)
        a_column.push_back(tiles.at(n, 0, of_y.row(static_cast<std::ptrdiff_t>(oy)), of_x.row(ox)));

  const std::size_t jobs = blocks.count() * shares, slots = std::min(jobs, most_slots),
                    source_size = tiles.samples * tiles.image, panel = tiles.samples * places * W,
                    packed_size = panel * pitch / W;
  Tensor<T> memory = Tensor<T>::uninitialized({slots, source_size + packed_size}, "conv2d_weight_gradient");
  Tensor<T> sums = Tensor<T>::uninitialized({jobs, K * pitch}, "conv2d_weight_gradient");
  const std::size_t plane = c.windows.outputs();
  in_slots(
      slots, jobs,
      [&, own = memory.mutable_data(), all = sums.mutable_data()](std::size_t slot, std::size_t job) {
        T* const tile_data = own + slot * (source_size + packed_size);
        T* const packed = tile_data + source_size;
        T* const sum = all + job * K * pitch;
        const auto block = blocks.block(job / shares);
        const std::size_t share = job % shares;
        std::fill_n(sum, K * pitch, T(0));
        std::fill_n(packed, packed_size, T(0));
        for (std::size_t i = share * tiles.count() / shares; i < (share + 1) * tiles.count() / shares; ++i) {
          const auto tile = tiles.tile(i);
          tiles.copy(tile_data, tile, x, c.windows.channels,
                     [&](std::size_t p, std::size_t l) { return channel(block, tiles.channel(p, l), l); });
          for (std::size_t n = 0; n < tile.samples; ++n)
            for (std::size_t p = 0; p < block.panels; ++p)
              kernels<T>().transpose(
                  packed + p * panel + n * places * W, W, false,
                  g + ((tile.sample + n) * c.groups * c.out + block.first + p * W) * plane + tile.row * lines,
                  plane, std::min(W, block.count - p * W), tile.rows * lines, T(1));
          kernels<T>().indexed_gemm(
              sum, c_row.data(), K * W, K, tile.samples == 1 ? tile.rows * lines : tile.samples * places,
              block.panels, tile_data, a_row.data(), a_column.data(), blocks.by_lane, packed, panel);
        }
      });
  // The first of the sums of a block becomes that of all.
  for (std::size_t b = 0; b < blocks.count(); ++b) {
    T* const sum = sums.mutable_data() + b * shares * K * pitch;
    kernels<T>().add_rows(sum, sum + K * pitch, shares - 1, K * pitch);
    const auto block = blocks.block(b);
    for (std::size_t p = 0; p < block.panels; ++p)
      kernels<T>().transpose(dw.data + (block.first + p * W) * K, K, dw.accumulate, sum + p * K * W, W, K,
                             std::min(W, block.count - p * W), T(1));
  }
}

}  // namespace xtape::detail
