// A thin layer on top of autodiff: modules, losses, optimisers. No derivative is written here.
#pragma once
#include <autodiff/autodiff.hpp>

#include "activations.hpp"
#include "clip.hpp"
#include "data.hpp"
#include "data_loader.hpp"
#include "evaluate.hpp"
#include "hand_derived.hpp"
#include "hand_numpy.hpp"
#include "history.hpp"
#include "init.hpp"
#include "layers.hpp"
#include "losses.hpp"
#include "module.hpp"
#include "normalization.hpp"
#include "optimizers.hpp"
#include "progress.hpp"
#include "safetensors.hpp"
#include "save.hpp"
#include "schedules.hpp"
#include "summary.hpp"
#include "trainer.hpp"
