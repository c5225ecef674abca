//! A series in a world of restarts, crashes and clocks that jump.
