// The products of convolutions without columns: the kernel of products by offsets reads the windows out of
// tiles of images that stay in the second-level cache (but for windows that are larger than that, or channels
// so many that it would hold less than 64 places of them).
#pragma once
#include <algorithm>
#include <cstddef>

#include "../kernels/gemm.hpp"
#include "../tape/op.hpp"
#include "source_tiles.hpp"

namespace xtape::detail {

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
  /// Whether it is worth waking threads.
  bool is_shared() const { return multiplications() > (1 << 20); }
  static constexpr std::size_t most_slots = 16;
  /// How many tasks there should be, at least.
  std::size_t wanted() const { return is_shared() && num_threads() > 1 ? most_slots : 1; }
  /// How many slots for so many tasks that take `own` elements each. Tiles for which the cache is too small,
  /// with more than `most`, take together no more than images and results. No result may depend on it.
  std::size_t slots(std::size_t tasks, std::size_t own, std::size_t most) const {
    const std::size_t operands = N * (windows.channels * windows.plane() + groups * out * windows.outputs());
    return std::min({tasks, wanted(), std::max<std::size_t>(1, std::max(most_slots * most, operands) / own)});
  }
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
  const std::size_t W = blocks.width;
  const SourceTiles<T> tiles(of_y, of_x, c.N, blocks, blocks.by_lane ? W : blocks.panels * W);
  if (tiles.count() < c.wanted()) blocks.cut(c.wanted() / std::max<std::size_t>(1, tiles.count()));
  const std::size_t pitch = blocks.pitch(), places = tiles.places(),
                    lines = static_cast<std::size_t>(of_x.out);

  // Places of a tile with the same taps. Along each axis these are every place, or every divisor-th.
  // A smaller tile has the first of them, as it lacks samples or rows, or has columns of a single row.
  struct Part {
    std::ptrdiff_t y, x;
    std::size_t row, K, column, taps, tap;  ///< row, column, tap: where they begin in the lists below
    static std::size_t count(std::size_t places, std::ptrdiff_t first, const Reading& of) {
      const auto end = static_cast<std::ptrdiff_t>(places);
      return end <= first ? 0 : static_cast<std::size_t>((end - first - 1) / of.divisor + 1);
    }
  };
  PoolVector<Part> parts;
  PoolVector<std::ptrdiff_t> a_row, c_row, a_column, taps;
  const auto height = static_cast<std::ptrdiff_t>(tiles.rows),
             across = static_cast<std::ptrdiff_t>(tiles.columns);
  for (std::ptrdiff_t qy = 0; qy < std::min(of_y.divisor, height); ++qy)
    for (std::ptrdiff_t qx = 0; qx < std::min(of_x.divisor, across); ++qx) {
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
          for (std::ptrdiff_t ox = qx; ox < across; ox += of_x.divisor) {
            const std::size_t place = n * places + static_cast<std::size_t>(oy * across + ox);
            a_row.push_back(tiles.at(n, 0, of_y.row(oy), of_x.row(ox)));
            c_row.push_back(static_cast<std::ptrdiff_t>(place * W));
          }
      parts.push_back({qy, qx, row, a_column.size() - column, column, taps.size() - tap, tap});
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

  const std::size_t tasks = tiles.count() * blocks.count(), source_size = tiles.samples * tiles.image,
                    result_panel = tiles.samples * places * W, result_size = result_panel * (pitch / W),
                    slots = c.slots(tasks, source_size + result_size, tiles.most_size);
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
      kernels<T>().indexed_gemm(
          result, c_row.data() + part.row, result_panel,
          tile.samples * Part::count(tile.rows, part.y, of_y) * Part::count(tile.columns, part.x, of_x),
          part.K, block.panels, tile_data, a_row.data() + part.row, a_column.data() + part.column,
          blocks.by_lane, packed.data() + block.panel * panel + part.column * W, panel);
    const std::size_t together = tile.columns == lines ? tile.rows : 1;  // rows
    for (std::size_t n = 0; n < tile.samples; ++n)
      for (std::size_t p = 0; p < block.panels; ++p)
        for (std::size_t row = 0; row < tile.rows; row += together)
          kernels<T>().transpose(
              y.data +
                  ((tile.sample + n) * blocks.groups * blocks.outer + block.first + p * W) * result_plane +
                  (tile.row + row) * lines + tile.column,
              result_plane, y.accumulate, result + p * result_panel + (n * places + row * tiles.columns) * W,
              W, together * tile.columns, std::min(W, block.count - p * W), T(1));
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
      for (std::ptrdiff_t ox = 0; ox < static_cast<std::ptrdiff_t>(tiles.columns); ++ox)
        a_column.push_back(tiles.at(n, 0, of_y.row(static_cast<std::ptrdiff_t>(oy)), of_x.row(ox)));

  const std::size_t jobs = blocks.count() * shares, source_size = tiles.samples * tiles.image,
                    panel = tiles.samples * places * W, packed_size = panel * pitch / W,
                    slots = c.slots(jobs, source_size + packed_size, tiles.most_size);
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
                  g + ((tile.sample + n) * c.groups * c.out + block.first + p * W) * plane +
                      tile.row * lines + tile.column,
                  plane, std::min(W, block.count - p * W), tile.rows * tile.columns, T(1));
          kernels<T>().indexed_gemm(sum, c_row.data(), K * W, K,
                                    tile.samples == 1 ? tile.rows * tile.columns : tile.samples * places,
                                    block.panels, tile_data, a_row.data(), a_column.data(), blocks.by_lane,
                                    packed, panel);
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
