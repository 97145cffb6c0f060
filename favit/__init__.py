"""FaViT-ProbSparse: ablation sweeps over attention mechanisms, from a configuration to the tables of a paper."""
