: N-type calcium channel of EQUATIONS 1, G = m^2 h, Goldman-Hodgkin-Katz influx.
: Its current feeds calcium and, cancelled by a current without ions, does not charge the membrane.
NEURON {
    SUFFIX n_type
    USEION ca READ cai WRITE ica
    NONSPECIFIC_CURRENT cancelled
    RANGE permeability, outside, per_mv
}
UNITS {
    FARADAY = (faraday) (coulomb)
    (mA) = (milliamp)
    (mV) = (millivolt)
    (mM) = (milli/liter)
}
PARAMETER {
    permeability = 3.8e-5 (cm/s)
    outside = 1 (mM)
    per_mv = 0.03743 (/mV)
}
ASSIGNED {
    v (mV)
    cai (mM)
    ica (mA/cm2)
    cancelled (mA/cm2)
}
STATE { m h }
INITIAL {
    m = steady(v, 3.4, -21)
    h = steady(v, -2, -40)
}
BREAKPOINT {
    LOCAL xi
    SOLVE gates METHOD cnexp
    xi = 2 * per_mv * v
    ica = -permeability * m * m * h * (2e-3) * FARADAY * (outside * bernoulli(xi) - cai * bernoulli(-xi))
    cancelled = -ica
}
DERIVATIVE gates {
    m' = (steady(v, 3.4, -21) - m) / 1.5
    h' = (steady(v, -2, -40) - h) / 75
}
FUNCTION steady(v (mV), z, half (mV)) {
    steady = 1 / (1 + exp(-z * per_mv * (v - half)))
}
FUNCTION bernoulli(x) {
    if (fabs(x) < 1e-4) {
        bernoulli = 1 - x / 2 + x * x / 12
    } else {
        bernoulli = x / (exp(x) - 1)
    }
}
