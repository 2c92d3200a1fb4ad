"""Fixes of values that were lost, jobs that were stuck and promises that did not hold, undone.

Each is taken out of a copy of the package, and the generator or table of its kind must see that.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.schedules import planted

VALUES = "integration/test_values.py::test_a_value_comes_back_from_a_job_and_changes_no_class"
RESTARTS = "integration/test_values.py::test_a_value_comes_back_after_a_restart"
STARTS = "crash/test_starts.py::test_a_start_that_fails_anywhere_ends_or_is_tried_again_and_wedges_nothing"  # noqa: E501
LASTING = "crash/test_starts.py::test_what_cannot_be_started_fails_and_two_of_them_pause_the_queue"
ODD = "crash/test_environments.py::test_one_job_of_each_executor_runs"
OUTLETS = "security/test_outlets.py::test_no_shape_is_seen_anywhere"
NOTEBOOKS = "notebooks/test_notebooks.py::test_a_notebook_judges_itself"
KEPT = "integration/test_kept_bytes.py"
LARGE = "integration/test_large_results.py"
WAITS = "integration/test_waiting_callback.py::test_a_wait"
CHANGED = "crash/test_journal_changed_in_use.py"
READ = "crash/test_journal_read_in_process.py"
KEYS = "integration/test_keys.py"
DIGESTS = "unit/test_digests.py"


@dataclass(frozen=True)
class Fix(planted.Bug):
    """What was mended, as its undoing, and the test below `tests` that sees it undone."""

    seen_by: str
    also: planted.Bug | None = None  # where either place makes good for the other

    def plant(self, folder: Path) -> Path:
        """Copy the package into `folder`, without this fix."""
        super().plant(folder)
        if self.also is not None:
            path = folder / planted.PACKAGE.name / self.also.file
            path.write_text(self.also.mutate(path.read_text()))
        return folder


FIXES = [
    # -- values that are lost, objects that are changed ----------------------------------------
    Fix(
        "a class that lives is set back to what another process knew",
        "child/loading.py",
        "        if id(made) not in self._empty:\n            return made\n",
        "",
        f"{VALUES}[process]",
    ),
    Fix(
        "what stands for nothing becomes another",
        "child/byvalue.py",
        "            return NotImplemented if name is None else name\n",
        "            return NotImplemented\n",
        f"{VALUES}[a pool of processes]",
    ),
    Fix(
        "a job's classes are not in its __main__",
        "child/loading.py",
        "                self.main.names.setdefault(one.__qualname__, one)\n",
        "                pass\n",
        f"{NOTEBOOKS}[main_holds_what_the_job_brought-7.4]",
    ),
    Fix(
        "complex numbers are not read among plain values",
        "child/wire.py",
        '        if (module, name) == ("builtins", "complex"):\n            return complex\n',
        "",
        f"{VALUES}[process]",
    ),
    Fix(
        "a result that cannot be sent fails its job",
        "child/wire.py",
        '        return not_kept(value, f"it cannot be pickled: {name}: {message}"), []\n',
        '        return {"kind": "error", "type": name, "message": message, "traceback": ""}, []\n',
        "crash/test_crash_matrix.py",
    ),
    Fix(
        "arguments of ended jobs stay",
        "_runtime/storage/keeper.py",
        "            self._arguments.note(job, self.describe)\n",
        "            pass\n",
        f"{KEPT}::test_arguments_of_completed_jobs_go_and_a_retry_says_so",
    ),
    Fix(
        "results of ended jobs stay in memory",
        "_runtime/storage/keeper.py",
        "            if self.memory - theirs <= keep:\n                break\n",
        "            break\n",
        f"{KEPT}::test_values_of_workers_are_bounded_also_those_that_are_held",
    ),
    Fix(
        "files of results have no bound",
        "_runtime/storage/keeper.py",
        "        return self._files.total + size <= limit\n",
        "        return True\n",
        f"{KEPT}::test_a_full_spool_stops_new_starts_and_says_why",
    ),
    Fix(
        "logs of ended jobs have no bound",
        "_runtime/storage/told/printed.py",
        "            while shelf.total > limit and (jobs",
        "            while False and (jobs",
        f"{KEPT}::test_logs_of_ended_jobs_have_one_bound",
    ),
    Fix(
        "what a forced end has left of a result stays",
        "workers/unpacking.py",
        'result-{worker}-{number}-*"):\n        path.unlink(missing_ok=True)\n',
        'result-{worker}-{number}-*"):\n        pass\n',
        f"{LARGE}::test_a_forced_end_leaves_no_part_of_a_result",
    ),
    Fix(
        "a result that has no room in the spool folder is lost",
        "child/function_worker.py",
        "        except OSError:\n            return meta, parts\n",
        "        except ZeroDivisionError:\n            return meta, parts\n",
        f"{LARGE}::test_what_does_not_fit_the_spool_folder_comes_through_the_pipe",
    ),
    Fix(
        "a changed module is not noticed",
        "workers/process.py",
        '        self.sources.hear(meta.get("modules"))\n',
        "",
        "integration/test_stale_code.py::test_a_changed_module_costs_the_warm_worker_and_is_told_once",
    ),
    Fix(
        "a restored result is of classes of its own",
        "child/loading.py",
        "homes = {name: home for name, one in loading.strangers().items() if (home := _same(one))}",
        "homes = dict[str, type]()",
        f"{RESTARTS}[sqlite]",
    ),
    Fix(
        "what no worker can import is sent by its name",
        "child/byvalue.py",
        "    return not known\n",
        "    return False\n",
        f"{NOTEBOOKS}[what_works_in_a_cell_works_in_a_job-7.4]",
    ),
    Fix(
        "exceptions with an __init__ of their own cannot be read",
        "child/byvalue.py",
        "                return reduce_exception(obj)\n",
        "                return NotImplemented\n",
        f"{VALUES}[process]",
    ),
    Fix(
        "exceptions lose their cause",
        "child/byvalue.py",
        '        state["__cause__"] = error.__cause__\n',
        "        pass\n",
        f"{VALUES}[process]",
    ),
    Fix(
        "a job that noticed the request has completed",
        "child/wire.py",
        '    return {**meta, "noticed": True} if noticed else meta\n',
        "    return meta\n",
        "contract/test_executors_in_a_queue.py::test_what_a_job_returns_that_has_noticed_the_request_is_a_part",
    ),
    # -- jobs that are stuck -------------------------------------------------------------------
    Fix(
        "only errors of the system end the start of a worker",
        "workers/process.py",
        "        except BaseException as error:\n            self.start_error = error\n",
        "        except OSError as error:\n            self.start_error = error\n",
        f"{STARTS}[process]",
    ),
    Fix(
        "a pidfd is taken for granted",
        "workers/system/posix.py",
        "contextlib.suppress(AttributeError, OSError)",
        "contextlib.suppress(ZeroDivisionError)",
        "crash/test_starts.py::test_workers_run_where_there_is_no_pidfd",
    ),
    Fix(
        "want of threads is the job's own fault",
        "_core/retrying.py",
        '    return isinstance(error, RuntimeError) and "new thread" in str(error)\n',
        "    return False\n",
        f"{STARTS}[thread]",
    ),
    Fix(
        "what never starts is tried for ever",
        "_core/retrying.py",
        "STARTS = 5 ",
        "STARTS = 5_000 ",
        f"{LASTING}[no_interpreter-process]",
    ),
    Fix(
        "only errors of the system end a launch",
        "_runtime/runner.py",
        '        except BaseException as error:\n            text = f"the {executor.name}',
        '        except OSError as error:\n            text = f"the {executor.name}',
        f"{STARTS}[thread]",
    ),
    Fix(
        "a thread counts as there before it has started",
        "_threads/supervisor.py",
        "            thread.start()\n        except BaseException:\n"
        "            self._close_selector()\n            raise\n",
        "            self._thread = thread\n            thread.start()\n"
        "        except ZeroDivisionError:\n            raise\n",
        f"{STARTS}[process]",
    ),
    Fix(
        "descriptors of a thread that could not be started stay",
        "_threads/supervisor.py",
        "        except BaseException:\n            self._close_selector()\n            raise\n",
        "        except ZeroDivisionError:\n            raise\n",
        f"{STARTS}[process]",
    ),
    Fix(
        "a wake-up that failed counts",
        "_threads/supervisor.py",
        "                self._selector.wake()\n            self._awake = True ",
        "                self._awake = True\n                self._selector.wake() ",
        "crash/test_starts.py::test_a_wake_up_that_failed_is_made_up_for_by_the_next_one",
    ),
    Fix(
        "pipes of a start that failed half-way stay open",
        "workers/system/posix.py",
        "        for fd in (end for pipe in pipes for end in pipe):\n            os.close(fd)\n",
        "",
        f"{STARTS}[process]",
    ),
    Fix(
        "a result is not told of that no thread can read",
        "workers/unpacking.py",
        "    except RuntimeError as error:\n        take(",
        "    except ZeroDivisionError as error:\n        take(",
        "engines/test_pools.py::test_a_result_that_no_thread_can_read_is_told_and_ends_its_job",
    ),
    Fix(
        "a worker that was stopped in an import goes on",
        "child/function_worker.py",
        "            self.cut_an_import = self.cut_an_import or state.is_importing(frame)\n",
        "",
        "crash/test_cut_off_imports.py",
    ),
    Fix(
        "a forced job is held until its timer fires",
        "executors/process.py",
        "            self._cancel_timer()  # it would hold the job until it fires\n",
        "            pass\n",
        "integration/test_freed_at_once.py",
    ),
    Fix(
        "a stop waits for an executor as long as it takes",
        "_runtime/dispatcher.py",
        "await asyncio.wait({task}, timeout=left)",
        "await asyncio.wait({task})",
        "crash/test_starts.py::test_a_stop_is_over_in_time_though_an_executor_never_closes",
    ),
    Fix(
        "a kernel's folder is taken for granted",
        "workers/environment.py",
        "        return ROOT\n    return None\n",
        "        return None\n    return None\n",
        f"{ODD}[no folder]",
        planted.Bug(
            "where a worker looks where it is",
            "child/baseline.py",
            "    except OSError:\n        os.chdir(ROOT)\n        return ROOT\n",
            "    except OSError:\n        raise\n",
        ),
    ),
    Fix(
        "what an environment prints goes among the frames",
        "workers/system/posix.py",
        "                stdout=log,\n",
        "                stdout=frames,\n",
        f"{ODD}[a sitecustomize that prints]",
    ),
    Fix(
        "a stop looks into a spool folder that is gone",
        "_runtime/storage/spool.py",
        "    try:\n        return not any(path.iterdir())\n"
        "    except OSError:\n        return True\n",
        "    return not any(path.iterdir())\n",
        f"{LARGE}::test_a_stop_minds_no_spool_folder_that_is_gone",
    ),
    Fix(
        "no temporary folder is a start that fails",
        "_runtime/storage/spool.py",
        "    except FileNotFoundError:\n        Path(within",
        "    except ZeroDivisionError:\n        Path(within",
        f"{ODD}[no temporary folder]",
    ),
    Fix(
        "a log on a pool without room fails its job",
        "executors/futures/foreign_runner.py",
        "        except OSError:  # there is no room",
        "        except ZeroDivisionError:  # there is no room",
        f"{ODD}[a full temporary folder]",
    ),
    Fix(
        "a deaf call without a process is waited for",
        "compat/cjm/executor.py",
        "patience = 0.0 if process is None else LEAVE_PATIENCE",
        "patience = LEAVE_PATIENCE",
        "integration/test_reference_names.py::test_a_deaf_call_without_a_process_is_over_when_it_is_forced",
    ),
    Fix(
        "a circle of waiting jobs is not found",
        "_runtime/waits.py",
        "            if job in stuck:\n",
        "            if False:\n",
        "integration/test_jobs_that_wait_for_jobs.py::test_no_tree_of_waiting_jobs_hangs_and_none_with_lanes_enough_is_refused",
    ),
    Fix(
        "a wait is refused though a lane is free",
        "_runtime/waits.py",
        "    if state.lanes_taken < wait.lanes.max_running or state.lanes_taken > len(running):\n",
        "    if state.lanes_taken > len(running):\n",
        "integration/test_jobs_that_wait_for_jobs.py::test_no_tree_of_waiting_jobs_hangs_and_none_with_lanes_enough_is_refused",
    ),
    Fix(
        "an act on many jobs is many transactions",
        "_runtime/engine_view.py",
        "    engine.perform(outside)\n    return",
        "        engine.perform(outside)\n        outside.clear()\n    return",
        "integration/test_journal_batches.py",
    ),
    Fix(
        "a journal that could not be opened stays taken",
        "_persistence/sqlite/journal.py",
        "            self.close()\n            if isinstance(error",
        "            if isinstance(error",
        "crash/test_journal_steps.py",
    ),
    Fix(
        "exit handlers lose the value",
        "child/function_worker.py",
        "        if self.farewells.waits or not (\n",
        "        if not (\n",
        f"{NOTEBOOKS}[what_has_returned_is_done-7.4]",
    ),
    Fix(
        "finalizers of arguments lose the value",
        "child/ends.py",
        "    return not any(values) or is_plain(values)\n",
        "    return True\n",
        f"{NOTEBOOKS}[what_has_returned_is_done-7.4]",
    ),
    Fix(
        "what is replaced for all jobs fails the worker",
        "child/function_worker.py",
        "                    self.patches.mend()\n",
        "                    pass\n",
        "crash/test_next_jobs.py",
    ),
    Fix(
        "loggers stay as a job has left them",
        "child/function_worker.py",
        "        self.logging.take_back(self.patches.imported)\n",
        "",
        "crash/test_next_jobs.py",
    ),
    Fix(
        "settings of the interpreter stay as a job has left them",
        "child/function_worker.py",
        "        self.patches.take_back()\n",
        "",
        "crash/test_next_jobs.py",
    ),
    # -- promises ------------------------------------------------------------------------------
    Fix(
        "what a job in a thread says is lost",
        "executors/thread.py",
        "        bind(self._context)\n        spec",
        "        spec",
        f"{ODD}[as usual]",
    ),
    Fix(
        "what threads print after a message of a page is lost",
        "widget/parents.py",
        '        if channel != "shell" or not self._runs',
        "        if channel or not self._runs",
        "integration/test_background_output.py::test_after_each_message_of_a_page_threads_and_subscribers_keep_their_cell",
    ),
    Fix(
        "a function is looked for under the name of another",
        "workers/definitions.py",
        "    if name is not None and found_as(name) is definition:\n",
        "    if name is not None:\n",
        f"{NOTEBOOKS}[latest_is_told_truly-7.4]",
    ),
    Fix(
        "a method runs without the class of now",
        "workers/definitions.py",
        "        then.__class__ = kind\n",
        "        pass\n",
        f"{NOTEBOOKS}[latest_is_told_truly-7.4]",
    ),
    Fix(
        "values of globals are not compared",
        "workers/definitions.py",
        "                yield name, self._value(found)\n",
        "                yield name\n",
        f"{NOTEBOOKS}[latest_is_told_truly-7.4]",
    ),
    Fix(
        "a row is not told what its function uses",
        "workers/definitions.py",
        "            if found is not same() and (told is None or told != _told(found)):\n",
        "            if False:\n",
        f"{NOTEBOOKS}[latest_is_told_truly-7.4]",
    ),
    Fix(
        "rows of a frame are not asked for their names",
        "_secrets/tables.py",
        "            chosen += [*_named_rows(value), *_named_in_rows(value)]\n",
        "",
        OUTLETS,
    ),
    Fix(
        "command lines are taken for plain lists",
        "_secrets/finder.py",
        "            self._visit_options(base.__iter__(value), part)\n",
        "            pass\n",
        OUTLETS,
    ),
    Fix(
        "a retry is written with what it does not wait for",
        "_persistence/codec.py",
        "options=_as_now(request.options, spec.options),",
        "options=request.options,",
        "integration/test_restart.py::test_a_retry_comes_back_with_what_it_waits_for_and_not_with_what_had_ended",
    ),
    Fix(
        "a retry waits for nothing",
        "_api/sweeps/acts.py",
        "(again, self.submission.parents_again(again.spec))",
        "(again, ())",
        "integration/test_order_hold_and_pause.py::test_a_retry_waits_for_what_has_not_ended_and_says_for_what_it_does_not",
    ),
    Fix(
        "a worker that read nothing costs its job",
        "workers/process.py",
        "if self.kept_from_starting or unread:",
        "if self.kept_from_starting:",
        "integration/test_worker_processes.py::test_a_worker_that_dies_without_reading_its_job_does_not_cost_the_job",
    ),
    Fix(
        "a worker that becomes ready is free",
        "workers/piped.py",
        "            self._on_ready()\n",
        "            self._on_free(self)\n",
        "integration/test_worker_processes.py::test_a_worker_that_becomes_ready_while_it_is_given_a_job_is_given_no_other",
    ),
    Fix(
        "a job's environment is that of its start",
        "workers/surroundings.py",
        "environ = changed({**self.start, **(given or {})}, self.changes)",
        "environ = {**os.environ, **(given or {})}",
        "integration/test_surroundings.py::test_who_sets_a_variable_last_in_the_order_of_rank_wins",
    ),
    Fix(
        "a job is not told its GPU",
        "workers/surroundings.py",
        "    send_to(environ, devices)\n",
        "",
        "integration/test_devices.py",
    ),
    Fix(
        "secrets pass in messages",
        "_runtime/runner.py",
        "            text = self._secrets.hide(text)\n",
        "            pass\n",
        OUTLETS,
    ),
    Fix(
        "secrets pass in logs",
        "_runtime/runner.py",
        "            data = self._output.pass_on(data)\n",
        "            pass\n",
        OUTLETS,
    ),
    Fix(
        "secrets pass in outcomes",
        "_runtime/runner.py",
        "            outcome = self._secrets.hide_in_outcome(outcome)\n",
        "            pass\n",
        OUTLETS,
    ),
    Fix(
        "a wait takes what its loop has counted",
        "_threads/kernel.py",
        "range(counted - len(ready))",
        "()",
        f"{WAITS}_in_a_script[call_soon]",
    ),
    Fix(
        "a wait leaves its loop asleep",
        "_threads/kernel.py",
        "            loop.call_soon_threadsafe(_nothing)\n",
        "",
        f"{WAITS}_holds_up_nothing_else[a loop that sleeps]",
    ),
    # -- a journal that others change, or that its own kernel reads ------------------------------
    Fix(
        "a journal that is read by its own kernel has no lock any more",
        "_persistence/sqlite/held.py",
        '            _of_description(fd, "F_WRLCK")\n',
        "            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)\n",
        f"{READ}::test_reading_one_of_its_files_loses_no_lock[read-.lock]",
    ),
    Fix(
        "SQLite's locks of a journal are lost when its own kernel reads it",
        "_persistence/sqlite/held.py",
        '                _of_description(fd, "F_RDLCK", *place)\n',
        "                pass\n",
        f"{READ}::test_reading_one_of_its_files_loses_no_lock[read-]",
    ),
    Fix(
        "a write hides what was done to the journal before it",
        "_persistence/sqlite/journal.py",
        "            self._check_files()\n            if self._gone:\n",
        "            if self._gone:\n",
        f"{CHANGED}::test_nothing_that_the_queue_knew_is_lost"
        "[its log overwritten-a job is submitted]",
    ),
    Fix(
        "a write hides what was done to the journal meanwhile",
        "_persistence/sqlite/presence.py",
        "_identity(now) != _identity(seen) or now.st_size < seen.st_size:",
        "_identity(now) != _identity(seen):",
        f"{CHANGED}::test_what_is_changed_during_a_write_is_noticed_too[its log cut in half]",
    ),
    Fix(
        "an older copy of a journal passes for the journal",
        "_persistence/sqlite/journal.py",
        "            whole = copied and not self._presence.rewritten\n",
        "            whole = copied\n",
        f"{CHANGED}::test_nothing_that_the_queue_knew_is_lost"
        "[all older ones copied over it-a job is submitted]",
    ),
    Fix(
        "a fork keeps its kernel's journal",
        "_persistence/sqlite/held.py",
        "        with contextlib.suppress(OSError):\n            os.close(fd)\n    _held",
        "        pass\n    _held",
        f"{READ}::test_a_fork_that_outlives_its_kernel_keeps_no_lock",
    ),
    # -- keys ------------------------------------------------------------------------------------
    Fix(
        "an evicted job still stands for its key",
        "_core/state.py",
        "            self.keys.remove(job)\n",
        "            pass\n",
        f"{KEYS}::test_a_job_that_does_not_stand_is_followed_by_a_new_one[evicted]",
    ),
    Fix(
        "a failed job stands for its key",
        "_core/sweeps/keys.py",
        "    return job.status is COMPLETED and type(result) is not NotKept\n",
        "    return type(result) is not NotKept\n",
        f"{KEYS}::test_a_job_that_does_not_stand_is_followed_by_a_new_one[failed]",
    ),
    Fix(
        "an older job than the newest stands for a key",
        "_core/sweeps/keys.py",
        "        for job in reversed(self._jobs.get(key.text, ())):\n",
        "        for job in self._jobs.get(key.text, ()):\n",
        f"{KEYS}::test_the_newest_job_of_a_key_counts",
    ),
    Fix(
        "who looks at a key decides, not who accepts",
        "_runtime/sweeps/keyed.py",
        "None if job.spec.options.key is None else state.keys.newest(key_of(job))",
        "None",
        f"{KEYS}::test_a_key_submitted_by_many_threads_gives_one_job",
    ),
    Fix(
        "a job that was found is given though it has left meanwhile",
        "_runtime/sweeps/keyed.py",
        "is_new(job) or keys.standing(key_of(job)) is job for",
        "True for",
        f"{KEYS}::test_a_job_evicted_between_look_and_accept_is_looked_for_again",
    ),
    Fix(
        "a key that nobody has sealed counts",
        "_persistence/restore.py",
        "        if options.key is not None and not self._reader.proves(request, missing):\n",
        "        if False:\n",
        f"{KEYS}::test_a_key_that_somebody_else_has_written_is_no_key",
    ),
    Fix(
        "a result that is there as text only is given for a key",
        "_persistence/sqlite/reading.py",
        ", \"form IN ('pickle', 'file')\"",
        "",
        f"{KEYS}::test_a_value_that_is_in_the_journal_as_text_only_is_made_again",
    ),
    Fix(
        "a pause by hand is passed by what was asked for again",
        "_core/state.py",
        "        if pause is not None and self.in_review and not pause.for_review:\n",
        "        if False:\n",
        f"{KEYS}::test_a_pause_by_hand_stops_also_what_was_asked_for_again",
    ),
    Fix(
        "what is asked for again waits with all that was restored",
        "_core/arranging.py",
        "        job.let_through = True\n        state.order.refile(job)\n",
        "        pass\n",
        f"{KEYS}::test_what_waits_after_a_restore_goes_on_when_it_is_asked_for_again",
    ),
    Fix(
        "a digest depends on the order of a set",
        "_api/sweeps/digest.py",
        "            return joined(kind.__name__, sorted(map(self._value, value)))\n",
        "            return joined(kind.__name__, map(self._value, value))\n",
        f"{DIGESTS}::test_another_kernel_with_another_hash_seed_agrees",
    ),
    Fix(
        "a digest leaves out what a function captures",
        "_api/sweeps/digest.py",
        '                joined("closure", closed),\n',
        "",
        f"{DIGESTS}::test_whatever_changes_code_changes_its_digest",
    ),
    Fix(
        "a digest leaves out the globals that a function reads",
        "_api/sweeps/digest.py",
        "                self._globals(function),\n",
        "",
        f"{DIGESTS}::test_whatever_changes_code_changes_its_digest",
    ),
]
