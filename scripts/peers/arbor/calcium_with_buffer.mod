: Calcium (cc) and calbindin (bb) of EQUATIONS 1: N-type channel, pumps, leak, binding. Both are ions that
: diffuse; no current is written, so that the membrane is not charged. Units mM, ms, um, mV.
NEURON {
    SUFFIX calcium_with_buffer
    USEION cc READ ccd WRITE ccd VALENCE 2
    USEION bb READ bbd WRITE bbd VALENCE 1
    RANGE per_volume
    GLOBAL permeability, outside, per_mv, leak, total, binding, unbinding, pmca, pmca_half, ncx, ncx_half
}
PARAMETER {
    per_volume = 1
    permeability = 3.8e-4
    outside = 1
    per_mv = 0.03743
    leak = 0
    total = 0.16
    binding = 27
    unbinding = 0.019
    pmca = 8.5e-6
    pmca_half = 6e-5
    ncx = 3.75e-5
    ncx_half = 1.8e-3
}
STATE { m h c b }
INITIAL {
    m = steady(v, 3.4, -21)
    h = steady(v, -2, -40)
    c = ccd
    b = bbd
}
BREAKPOINT {
    SOLVE gates METHOD cnexp
    SOLVE kinetics METHOD sparse
    ccd = c
    bbd = b
}
: The diffused concentrations are taken over here, before the second SOLVE notes where it starts from.
DERIVATIVE gates {
    c = ccd
    b = bbd
    m' = (steady(v, 3.4, -21) - m) / 1.5
    h' = (steady(v, -2, -40) - h) / 75
}
DERIVATIVE kinetics {
    LOCAL xi, open, source, sink
    xi = 2 * per_mv * v
    open = per_volume * permeability * m * m * h
    source = open * outside * exprelr(xi) + per_volume * leak * outside
    sink = open * exprelr(-xi) + per_volume * leak
    c' = source - sink * c - per_volume * (pmca * c * c / (pmca_half * pmca_half + c * c) + ncx * c / (ncx_half + c)) + unbinding * (total - b) - binding * c * b
    b' = unbinding * (total - b) - binding * c * b
}
FUNCTION steady(v, z, half) {
    steady = 1 / (1 + exp(-z * per_mv * (v - half)))
}
