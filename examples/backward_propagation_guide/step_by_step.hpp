// The document's step-by-step example.
#pragma once

/// Every number of one step, by hand and by tape. Returns whether hand, tape and document agree.
bool step_by_step();

/// One mistake in it: step 3 without sigmoid'(z1). Returns whether it is named.
bool wrong_step();
