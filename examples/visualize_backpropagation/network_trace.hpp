// The document's 2-2-1 network in training: every quantity of every step, and its recorded graph.
#pragma once
#include <map>
#include <string>
#include <vector>

/// The quantities of one training step by their names, which the templates of steps.json and the drawings
/// use: inputs x1, x2, y and alpha (α); weights W111 (layer 1, row 1, column 1) … b2; z11, a11 …, e = a2 − y,
/// q = e² and J; slopes s11, s12, s2 = σ′(z); gradients with a d in front, such as dz2 = δ2; weights after
/// the update with a u, uW111 ….
using Frame = std::map<std::string, double>;

struct NetworkTrace {
  std::vector<Frame> frames;  ///< one for each training step, from the document's example on
  std::string
      recorded_graph[2];  ///< of the first step, in Graphviz's language: from left to right, from the top
};

/// Trains on x = [1, 0.5], y = 0.8 with the document's learning rate 0.1 and J = ½ (a2 − y)².
NetworkTrace trace_network(int training_steps);

/// A number as the page and the program show it: three digits after the point, as in the document, or two
/// digits and an exponent below 0.001.
std::string shown(double number);

/// The template with every {name} replaced by the frame's number. std::out_of_range for an unknown name.
std::string fill(const std::string& text, const Frame& frame);
