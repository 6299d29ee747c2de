"""The web server: `gunicorn --config python:portal.gunicorn portal.wsgi`. How many workers: WEB_CONCURRENCY."""

bind = "0.0.0.0:8000"
# Half of them may wait for library systems (enrollment.asking.MOST_AT_ONCE): the others answer everybody else.
threads = 8
# A roster of 165,000 lines is stored in one request, and its upload may be slow.
timeout = 120
graceful_timeout = 30
keepalive = 5
# A process that leaks is replaced in time, and not all of them at once.
max_requests = 5000
max_requests_jitter = 500
# The heartbeat's file in memory: on a slow disk it would look like a hanging worker.
worker_tmp_dir = "/dev/shm"
control_socket_disable = True
