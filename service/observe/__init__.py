"""What a running flow lets others see.

recorder    plain numbers of what the engine's calls take and bring, by wrapping them
metrics     those numbers, the process's and the machine's, as Prometheus has them
shared      the same of every process of a cluster
http        /metrics, /healthz, /readyz, /health
"""
