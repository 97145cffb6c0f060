"""A sweep as something to hand on, and what becomes of one of its runs elsewhere. Free of torch."""
