"""PluginManager: finds plugins, loads each into a worker of its own, runs them, ends them."""

from __future__ import annotations

import contextlib
import logging
import operator
import os
import warnings
import weakref
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Literal

from .._core.jobs import BlockReason, Holder
from .._core.spec import JobSpec
from .._runtime.failures import RefusedRun, failure_of
from .._runtime.storage.told.logs import JobLog, no_file
from ..child.plugins import typed
from ..errors import InvalidManifestError, PluginDisabledError, PluginNotLoadedError
from ..protocols import ExecutorContext, LoadedPlugin, PluginExecution, Reporter
from . import calls
from .admission import PluginAdmission
from .handle import PluginHandle
from .judging import Judging
from .manifests.discovery import find_home
from .manifests.manifest import (
    PluginLoadWarning,
    PluginMeta,
    defaults_of,
    find_manifests,
    instance_of,
    meta_of,
    requirements_of,
)
from .run import PluginRun
from .runtime import PluginRuntime
from .schedulers import ResourceScheduler
from .slots import Plugin
from .user_plugins import PluginTable, UserPlugin, UserPluginRun

logger = logging.getLogger(__name__)

LOG_BYTES = 1024 * 1024  # of each plugin's log, kept in memory


class PluginManager(Judging):
    """Plugins, each in a worker process with an interpreter of its own. Methods: any thread.

    Names and meanings are those of `cjm-plugin-system`; its manifests and plugins run unchanged.

    Args:
        plugin_interface: accepted for compatibility; a plugin is whatever has the methods.
        search_paths: folders with manifests, and no others. Default: as in the reference system,
            `.cjm/manifests` of the current folder, then `manifests` of `data_dir`.
        scheduler: decides when a plugin may start; default: always. A queue also looks at what the
            manifest asks for, unless this is a `PermissiveScheduler`.
        data_dir: plugins write below its `data`; default: the environment's CJM_DATA_DIR, or the
            one in the nearest `cjm.yaml` from the current folder upwards, or `~/.cjm`.
        models_dir: told to plugins as CJM_MODELS_DIR; default: that of the same `cjm.yaml`.
        env: what plugins get of this process's environment, as it is when a worker starts; a reload
            takes the newest. "kernel": all of it but the notebook server's variables, as any
            subprocess would. "listed": where things are (PATH, HOME, `CUDA_*`), no keys but those
            that a manifest names in `pass_env`. A manifest's `env_vars` win over both.

    Raises:
        ValueError: there is no such `env`.

    Example:
        ```python
        manager = PluginManager(search_paths=[Path("plugins")])
        manager.discover_manifests()
        manager.load_plugin(manager.get_discovered_meta("lengths"))
        queue = await JobQueue(manager).start()
        print(await queue.submit_nowait("lengths", ["a.txt", "b.txt"]))
        manager.unload_all()
        ```
    """

    def __init__(
        self,
        plugin_interface: type | None = None,
        search_paths: Iterable[str | os.PathLike[str]] | None = None,
        scheduler: ResourceScheduler | None = None,
        *,
        data_dir: str | os.PathLike[str] | None = None,
        models_dir: str | os.PathLike[str] | None = None,
        env: Literal["kernel", "listed"] = "kernel",
    ) -> None:
        if env not in ("kernel", "listed"):
            raise ValueError(
                f"env={env!r}: PluginManager takes 'kernel' (all of this process's environment) or "
                "'listed' (no keys); variables of its own go into a plugin's manifest, as env_vars"
            )
        self._home = home = find_home(search_paths, data_dir, models_dir)
        self.plugin_interface = plugin_interface
        self.search_paths = home.search_paths
        self.discovered: list[PluginMeta] = []
        self.problems: dict[str, str] = {}  # why a plugin's last load failed; where was looked
        self._bad_files: dict[str, str] = {}
        self._runtime = PluginRuntime(home.data_dir, home.models_dir, listed=env == "listed")
        self._loaded: dict[str, Plugin] = {}
        self._user_plugins: dict[str, UserPlugin] = {}  # what the user put into `plugins`
        self._logs: dict[str, JobLog] = {}
        self.logger = logging.getLogger(f"{__name__}.{type(self).__name__}")
        self._admission = PluginAdmission(self, scheduler)
        weakref.finalize(self, self._runtime.close_dropped).atexit = False

    # -- finding -------------------------------------------------------------------------------

    def discover_manifests(self) -> list[PluginMeta]:
        """Read the manifests of the search paths; a file that cannot be used is warned of.

        `manager.problems["manifests"]` says where was looked and how many were found; what is wrong
        with a file stands there by its path.
        """
        self.discovered, problems = find_manifests(self.search_paths, named=self._home.named)
        looked = f"manifests of {', '.join(map(str, self.search_paths)) or 'no folder'}"
        looked += f": {len(self.discovered)} found; plugins write below {self._home.data_dir}"
        logger.info("%s", looked)
        for file in self._bad_files:
            self.problems.pop(file, None)
        wrong = [*self._home.remarks, *problems]
        self._bad_files = {problem.partition(": ")[0]: problem for problem in wrong}
        self.problems.update(self._bad_files, manifests=looked)
        for problem in wrong or ([] if self.discovered else [looked]):
            warnings.warn(problem, PluginLoadWarning, stacklevel=2)
        return self.discovered

    def get_discovered_meta(self, plugin_name: str) -> PluginMeta | None:
        """Return a plugin that was found, loaded or not; or a loaded instance, by its id."""
        found = next((meta for meta in self.discovered if meta.name == plugin_name), None)
        return found or self.plugins.get(plugin_name)

    def get_discovered_by_category(self, category: str) -> list[PluginMeta]:
        """List found plugins of this category."""
        return [meta for meta in self.discovered if meta.category == category]

    def get_discovered_categories(self) -> list[str]:
        """List the categories of found plugins."""
        return sorted({meta.category for meta in self.discovered if meta.category})

    def register_type(self, kind: type, name: str | None = None) -> type:
        """Let dataclasses or enums of this type travel to and from plugins. Usable as a decorator.

        Args:
            kind: the class, also importable in the plugin's environment.
            name: what it is called there, if not the same: "module.Class".
        """
        self._runtime.types = {**self._runtime.types, name or typed.name_of(kind): kind}
        return kind

    # -- loading -------------------------------------------------------------------------------

    def load_plugin(
        self,
        plugin_meta: PluginMeta | Mapping[str, Any] | str | None,
        config: Mapping[str, Any] | None = None,
        *,
        instance_id: str | None = None,
        workers: int = 1,
        lazy: bool = False,
    ) -> bool:
        """Start a plugin's worker and load it there; a loaded one is replaced. Blocks.

        Args:
            plugin_meta: from `discover_manifests`, the name of one found there, or a manifest.
            config: its configuration; default: the defaults of its schema.
            instance_id: the name that it is called by from now on, instead of its own: a plugin may
                be loaded several times, each with a configuration and workers of its own.
            workers: how many of its calls may run at a time, each in a worker of its own.
            lazy: start the worker at the first call only.

        Returns:
            False if it could not be loaded: a warning and `manager.problems` say why.
        """
        if operator.index(workers) < 1:
            raise ValueError(f"workers={workers!r}: a plugin has one worker or more")
        name = str(plugin_meta)
        if isinstance(plugin_meta, str):
            plugin_meta = self.get_discovered_meta(name)
        if plugin_meta is None:  # what get_discovered_meta() gives for an unknown name
            known = ", ".join(sorted(meta.name for meta in self.discovered)) or "none"
            return self._not_loaded(name, f"no such plugin was discovered; there are: {known}")
        if config is not None and not isinstance(config, Mapping):
            raise TypeError(f"config must be a mapping like {{'model': 'base'}}, not {config!r}")
        meta = meta_of(plugin_meta) if isinstance(plugin_meta, Mapping) else plugin_meta
        if instance_id is not None and instance_id != meta.name:
            meta = instance_of(meta, instance_id, self.discovered)
        try:
            meta_of(getattr(meta, "manifest", None), meta.path)
        except InvalidManifestError as error:
            return self._not_loaded(meta.name, str(error))
        log = self._logs.setdefault(meta.name, JobLog(no_file, LOG_BYTES, 0))
        self._runtime.enter()
        with contextlib.ExitStack() as otherwise:
            otherwise.callback(self._runtime.leave)
            config = config or self._extract_defaults_from_schema(meta.config_schema)
            plugin = Plugin(self._runtime, meta, config, workers, log)
            otherwise.callback(plugin.close, "could not be loaded")
            self.unload_plugin(meta.name)
            if not lazy and (problem := plugin.load()):
                return self._not_loaded(meta.name, problem)
            otherwise.pop_all()
        self.problems.pop(meta.name, None)
        meta.instance = PluginHandle(plugin, weakref.WeakMethod(self.unload_plugin))
        self._loaded[meta.name] = plugin
        self._runtime.tell()
        return True

    def _extract_defaults_from_schema(
        self, config_schema: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        """Return the default values of a configuration schema, by the reference's name for that."""
        return defaults_of(config_schema)

    def _not_loaded(self, name: str, problem: str) -> bool:
        self.problems[name] = problem
        text = f"plugin {name!r} could not be loaded: {problem}"
        logger.error("%s", text)
        warnings.warn(text, PluginLoadWarning, stacklevel=3)
        return False

    def load_all(self, configs: Mapping[str, Mapping[str, Any]] | None = None) -> dict[str, bool]:
        """Find and load every plugin; return which of them are loaded now."""
        configs = configs or {}
        found = self.discover_manifests()
        return {meta.name: self.load_plugin(meta, configs.get(meta.name)) for meta in found}

    def unload_plugin(self, plugin_name: str) -> bool:
        """End a plugin's workers and forget it; its calls fail. Blocks until all is gone."""
        plugin = self._loaded.pop(plugin_name, None)
        if plugin is None:
            own = self._user_plugins.pop(plugin_name, None)
            return own is not None and own.close()
        gone = plugin.close("was unloaded")
        if isinstance(plugin.meta.instance, PluginHandle):
            plugin.meta.instance.close()
        plugin.meta.instance = None
        self._runtime.leave()
        self._runtime.tell()
        return gone

    def unload_all(self) -> None:
        """Unload every plugin. The manager can be used again."""
        for name in self.plugins:
            self.unload_plugin(name)

    def reload_plugin(self, plugin_name: str, config: Mapping[str, Any] | None = None) -> bool:
        """Replace a plugin's workers by fresh ones, with the environment of now. Blocks.

        A call of it that runs fails.

        Args:
            plugin_name: a loaded plugin.
            config: a new configuration; default: the one it has.
        """
        plugin = self._loaded.get(plugin_name)
        if plugin is None:
            return False
        if config is not None:
            plugin.set_configuration(config)
        problem = plugin.replace_workers("it is reloaded")
        if problem:
            return self._not_loaded(plugin_name, problem)
        return True

    def __enter__(self) -> PluginManager:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.unload_all()

    # -- what is loaded --------------------------------------------------------------------------

    @property
    def plugins(self) -> PluginTable:
        """The loaded plugins by name.

        A `PluginMeta` that is put here is one, too: its `instance` is called as it is.
        """
        return PluginTable(self._loaded, self._user_plugins, self.unload_plugin)

    def list_plugins(self) -> list[PluginMeta]:
        """List the loaded plugins."""
        return list(self.plugins.values())

    def get_plugin(self, plugin_name: str) -> PluginHandle | None:
        """Return a loaded plugin, or None."""
        meta = self.plugins.get(plugin_name)
        handle: PluginHandle | None = None if meta is None else meta.instance
        return handle

    def get_plugin_meta(self, plugin_name: str) -> PluginMeta | None:
        """Return what is known of a loaded plugin."""
        return self.plugins.get(plugin_name)

    def get_plugins_by_category(self, category: str) -> list[PluginMeta]:
        """List loaded plugins of this category."""
        return [meta for meta in self.list_plugins() if meta.category == category]

    def get_loaded_categories(self) -> list[str]:
        """List the categories of loaded plugins."""
        return sorted({meta.category for meta in self.list_plugins() if meta.category})

    def enable_plugin(self, plugin_name: str) -> bool:
        """Let a plugin run again. False: it is not loaded."""
        return self._switch(plugin_name, True)

    def disable_plugin(self, plugin_name: str) -> bool:
        """Keep a plugin loaded and refuse to run it. False: it is not loaded."""
        return self._switch(plugin_name, False)

    def _switch(self, plugin_name: str, enabled: bool) -> bool:
        meta = self.get_plugin_meta(plugin_name)
        if meta is not None:
            meta.enabled = enabled
        return meta is not None

    def get_plugin_config(self, plugin_name: str) -> dict[str, Any] | None:
        """Return a loaded plugin's configuration; answered while it executes, too."""
        handle = self.get_plugin(plugin_name)
        return None if handle is None else handle.get_current_config()

    def get_all_plugin_configs(self) -> dict[str, dict[str, Any]]:
        """Return the configurations of all loaded plugins."""
        return {name: self.get_plugin_config(name) or {} for name in list(self._loaded)}

    def get_plugin_config_schema(self, plugin_name: str) -> dict[str, Any] | None:
        """Return what can be configured of a loaded plugin, as a JSON Schema."""
        handle = self.get_plugin(plugin_name)
        return None if handle is None else handle.get_config_schema()

    def update_plugin_config(self, plugin_name: str, config: Mapping[str, Any]) -> bool:
        """Give a loaded plugin another configuration.

        Idle workers take it now, busy ones before their next call.

        Returns:
            False if it does not take it: a warning says why, and the one before stays.
        """
        plugin = self._loaded.get(plugin_name)
        if plugin is None:
            return False
        if problem := plugin.configure(config):
            text = f"plugin {plugin_name!r} does not take this configuration: {problem}"
            warnings.warn(text, PluginLoadWarning, stacklevel=2)
            return False
        return True

    def get_plugin_logs(self, plugin_name: str, lines: int = 50) -> str:
        """Return the last lines of a plugin's workers, of all jobs; "" for an unknown plugin.

        The newest MiB is kept, in memory: the log of one job is `job.logs()`.
        """
        log = self._logs.get(plugin_name)
        return "" if log is None else log.tail(lines)

    def get_plugin_stats(self, plugin_name: str) -> dict[str, Any] | None:
        """Return figures of a plugin's processes: `pid`, `cpu_percent`, `memory_rss_mb` (MiB)."""
        handle = self.get_plugin(plugin_name)
        return None if handle is None else handle.get_stats()

    # -- running -------------------------------------------------------------------------------

    def execute_plugin(self, plugin_name: str, /, *args: Any, **kwargs: Any) -> Any:
        """Run a plugin once and wait for its result.

        Raises:
            PluginNotLoadedError, PluginDisabledError: nothing was run.
            PluginBlockedError: the scheduler does not let it start.
            PluginFailedError: it raised, or its worker ended.
        """
        if own := self._user_plugins.get(plugin_name):
            return own.execute(self._admission, args, kwargs)
        plugin = self._runnable(plugin_name)
        call = calls.Call(plugin, "execute", args, kwargs)
        self._admission.admit(plugin.meta)
        self._admission.begin(call.run)
        return call.wait()

    async def execute_plugin_async(self, plugin_name: str, /, *args: Any, **kwargs: Any) -> Any:
        """Run a plugin once and await its result; cancelling stops it, by force if need be.

        Raises:
            PluginNotLoadedError, PluginDisabledError: nothing was run.
            PluginBlockedError: the scheduler does not let it start.
            PluginFailedError: it raised, or its worker ended.
        """
        if own := self._user_plugins.get(plugin_name):
            return await own.execute_async(self._admission, args, kwargs)
        plugin = self._runnable(plugin_name)
        call = calls.Call(plugin, "execute", args, kwargs)
        await self._admission.admit_async(plugin.meta)
        self._admission.begin(call.run)
        return await call.value()

    async def execute_plugin_stream(
        self, plugin_name: str, /, *args: Any, **kwargs: Any
    ) -> AsyncGenerator[Any, None]:
        """Yield the pieces of a plugin's stream; leaving the loop stops it.

        Raises:
            PluginNotLoadedError, PluginDisabledError: nothing was run.
            PluginBlockedError: the scheduler does not let it start.
            PluginFailedError: it raised, or its worker ended.
        """
        if own := self._user_plugins.get(plugin_name):
            pieces = own.execute_stream(self._admission, args, kwargs)
        else:
            plugin = self._runnable(plugin_name)
            await self._admission.admit_async(plugin.meta)
            pieces = calls.stream(plugin, args, kwargs, self._admission.begin)
        async with contextlib.aclosing(pieces):
            async for piece in pieces:
                yield piece

    def _runnable(self, name: str) -> Plugin:
        plugin = self._loaded.get(name)
        if plugin is None:
            problem = self.problems.get(name, "").partition("\n")[0]
            loaded = ", ".join(sorted(self._loaded))
            cure = f"there are: {loaded}" if loaded else "load_plugin() loads one"
            raise PluginNotLoadedError(
                f"plugin {name!r} is not loaded{f' ({problem})' if problem else ''}; {cure}"
            )
        if not plugin.meta.enabled:
            raise PluginDisabledError(f"plugin {name!r} is disabled; enable_plugin({name!r})")
        return plugin

    # -- for a queue: protocols.LaunchesPlugins --------------------------------------------------

    def prepare_plugin(self, spec: JobSpec) -> object:
        """Pack the arguments at submit.

        Raises:
            UnsendableValueError: naming the place inside the argument.
        """
        if spec.name in self._user_plugins:
            return None
        return calls.pack(spec.args, spec.kwargs, self._runtime.types, spec.name)

    def launch_plugin(
        self, spec: JobSpec, reporter: Reporter, context: ExecutorContext
    ) -> PluginExecution:
        """Start one attempt of a job: admitted by the scheduler, then in the plugin's line."""
        if own := self._user_plugins.get(spec.name):
            return UserPluginRun(own, self._admission, spec, reporter)
        who = f"job {spec.title!r} of queue {context.queue_name}"
        try:
            plugin = self._runnable(spec.name)
        except (PluginNotLoadedError, PluginDisabledError) as error:
            return RefusedRun(reporter, failure_of(error))
        payload: Any = spec.payload
        run = PluginRun(plugin, "execute", reporter, payload, who, context.max_result_bytes)
        self._admission.launch(run)
        return run

    def plugin_blocked_by(self, name: str) -> BlockReason | None:
        """Return a reason if all workers of the plugin are busy; other plugins' jobs may pass."""
        plugin = self._loaded.get(name)
        holders = plugin.holders() if plugin is not None else []
        if not holders:
            return None
        return BlockReason(
            f"plugin {name!r} is busy with {' and '.join(holders)}",
            holders=tuple(Holder(holder, "plugin", 1.0, idle=False) for holder in holders),
            may_be_passed=True,
        )

    def plugin_configuration(self, name: str) -> object:
        """Return the configuration of a plugin's next call; None if it is not loaded."""
        plugin = self._loaded.get(name)
        return None if plugin is None else plugin.configuration[0]

    def on_change(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back (any thread) when a plugin was loaded, unloaded or freed; returns its end."""
        return self._runtime.listeners.add(callback)

    # -- for admission: protocols.OffersResources ------------------------------------------------

    def requirements(self, name: str) -> Mapping[str, float]:
        """Return `ram_mib` and `gpu_mib` of a loaded plugin, as far as its manifest has any.

        Nothing if the user chose that everything may start.
        """
        meta = self.get_plugin_meta(name)
        if meta is None or self._admission.lets_everything_start:
            return {}
        return requirements_of(meta)

    def loaded(self) -> list[LoadedPlugin]:
        """List the workers that are there now."""
        found = []
        for name, plugin in list(self._loaded.items()):
            for slot in plugin.slots:
                worker = slot.worker
                if worker is not None and worker.usable:
                    busy = not slot.is_free or plugin.meta.instance is self.system_monitor
                    one = LoadedPlugin(
                        name, worker.pid or None, busy, slot.last_used, slot.has_worked
                    )
                    found.append(one)
        return [*found, *(own.as_loaded() for own in list(self._user_plugins.values()))]

    def evict(self, name: str) -> str | None:
        """Free what an idle plugin holds: by its release(), else by ending its workers. Blocks.

        It stays registered and is loaded again, with the same configuration, at its next use.

        Returns:
            None if that is done, else why not: "busy" if it is used.
        """
        if own := self._user_plugins.get(name):
            return own.evict()
        plugin = self._loaded.get(name)
        if plugin is None:
            return "not loaded"
        why_not = plugin.free()
        self._runtime.tell()
        return why_not
