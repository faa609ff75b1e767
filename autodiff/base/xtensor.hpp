// The one place that includes xtensor, whose headers moved into subfolders in 0.26.
#pragma once
#if __has_include(<xtensor/containers/xarray.hpp>)
#include <xtensor/containers/xadapt.hpp>
#include <xtensor/containers/xarray.hpp>
#include <xtensor/core/xnoalias.hpp>
#include <xtensor/views/xstrided_view.hpp>
#else
#include <xtensor/xstorage.hpp>
#include <xtensor/xutils.hpp>
#if defined(__clang__) && __clang_major__ >= 19
// Since Clang 19 a template's defaults are seen through, and two of xtensor's own specialisations fit its
// shapes.
template <class X, class T>
struct xt::rebind_container<X, xt::svector<T, 4, std::allocator<T>, true> > {
  using type = xt::svector<X, 4, std::allocator<X>, true>;
};
#endif
#include <xtensor/xadapt.hpp>
#include <xtensor/xarray.hpp>
#include <xtensor/xnoalias.hpp>
#include <xtensor/xstrided_view.hpp>
#endif
