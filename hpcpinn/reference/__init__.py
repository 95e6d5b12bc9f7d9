"""The independent reference: finite volumes on the cable graph, NumPy and SciPy only.

`finite_volume.solve` solves the equations, `exact` holds solutions in closed form,
`refinement.settle` says when a solution may judge another.
"""
