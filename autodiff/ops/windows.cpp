// The windows of an image from the sizes that a user gives, checked.
#include "windows.hpp"

#include <array>
#include <string>

namespace xtape::detail {

std::string text(Size2 size) {
  return tuple_text<std::ptrdiff_t>(std::array<std::ptrdiff_t, 2>{size.height, size.width});
}

void require_size(const char* op, const char* what, Size2 size, std::ptrdiff_t least) {
  // So that sums of sizes stay within 64 bits.
  constexpr std::ptrdiff_t most = std::ptrdiff_t{1} << 31;
  if (std::min(size.height, size.width) < least || std::max(size.height, size.width) >= most)
    throw Error(op, std::string(what) + " " + text(size) + " must be " +
                        (least == 0 ? "0 or more" : "positive") + " and below 2^31");
}

namespace {

WindowAxis make_axis(std::size_t in, std::ptrdiff_t kernel, std::ptrdiff_t stride, std::ptrdiff_t padding,
                     std::ptrdiff_t dilation) {
  const auto k = static_cast<std::size_t>(kernel), s = static_cast<std::size_t>(stride),
             p = static_cast<std::size_t>(padding), d = static_cast<std::size_t>(dilation),
             length = (k - 1) * d + 1;  // of what a window sees, below 2⁶²
  return {in, k, s, p, d, in + 2 * p < length ? 0 : (in + 2 * p - length) / s + 1};
}

}  // namespace

void write_windows(Code& to, const Windows& w, std::size_t images, const std::string& line, bool filled) {
  std::string text = R"(for (std::size_t plane = 0; plane < planes; ++plane)
  for (std::size_t ky = 0; ky < kernel_y; ++ky)
    for (std::size_t kx = 0; kx < kernel_x; ++kx)
      for (std::size_t oy = 0; oy < out_y; ++oy)
        for (std::size_t ox = 0; ox < out_x; ++ox) {
)";
  std::string body =
      replaced(line, {{"$column", "(((plane * kernel_y + ky) * kernel_x + kx) * out_y + oy) * out_x + ox"},
                      {"$place", "(plane * in_y + iy) * in_x + ix"}});
  // What lies before the image is beyond its end, too: the numbers have no sign.
  text += replaced(
      "          const std::size_t iy = oy * stride_y + $ky - before_y, ix = ox * stride_x + $kx - "
      "before_x;\n",
      {{"$ky", w.y.dilation == 1 ? "ky" : "ky * dilation_y"},
       {"$kx", w.x.dilation == 1 ? "kx" : "kx * dilation_x"}});
  if (w.padded()) text += "          const bool inside = iy < in_y && ix < in_x;\n";
  if (!w.padded()) {
    body = replaced(body, {{"if (inside) ", ""}});
    if (const std::size_t at = body.find("inside ? "); at != std::string::npos)
      body = body.substr(0, at) + body.substr(at + 9, body.find(" : ") - at - 9) + ";";
  }
  to.text(text + "          " + body + "\n        }",
          {{"planes", images * w.channels},
           {"kernel_y", w.y.kernel},
           {"kernel_x", w.x.kernel},
           {"out_y", w.y.out},
           {"out_x", w.x.out},
           {"in_y", w.y.in},
           {"in_x", w.x.in},
           {"stride_y", w.y.stride},
           {"stride_x", w.x.stride},
           {"dilation_y", w.y.dilation},
           {"dilation_x", w.x.dilation},
           {"before_y", w.y.padding},
           {"before_x", w.x.padding}},
          filled);
}

Windows make_windows(const char* op, const Shape& images, Size2 kernel, Size2 stride, Size2 padding,
                     Size2 dilation) {
  if (images.size() != 4)
    throw Error(op, "x of shape " + to_string(images) + " is not (N, C, H, W): reshape it");
  require_size(op, "a kernel of", kernel, 1);
  require_size(op, "a stride of", stride, 1);
  require_size(op, "a padding of", padding, 0);
  require_size(op, "a dilation of", dilation, 1);
  const Windows w{images[1],
                  make_axis(images[2], kernel.height, stride.height, padding.height, dilation.height),
                  make_axis(images[3], kernel.width, stride.width, padding.width, dilation.width)};
  if (w.outputs() == 0)
    throw Error(
        op, "x of shape " + to_string(images) + " with a padding of " + text(padding) +
                " is smaller than the kernel " + text(kernel) +
                (dilation.height == 1 && dilation.width == 1 ? "" : " with a dilation of " + text(dilation)));
  return w;
}

}  // namespace xtape::detail
