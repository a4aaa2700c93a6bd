{% materialization memory, adapter='duckdb', supported_languages=['sql'] %}
    {#- A view or table that lives as long as the run, in one statement: the run starts with an empty
        database, so there is nothing to rename, back up or grant. -#}
    {%- set kind = config.get('keep', 'view') -%}
    {%- set target_relation = this.incorporate(type=kind) -%}
    {% call statement('main') -%}
        create or replace {{ kind }} {{ target_relation }} as (
            {{ compiled_code }}
        )
    {%- endcall %}
    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}


{% materialization iceberg, adapter='duckdb', supported_languages=['sql'] %}
    {#- Compute in memory, publish in one atomic commit of the catalog: a reader sees the mart before or
        after, never between. The plugin knows how (append or replace), takes the rows from the table made here, and
        drops it. -#}
    {%- set target_relation = this.incorporate(type='table') -%}
    {%- set computed = api.Relation.create(
        database='memory', schema='main', identifier='publish__' ~ this.identifier, type='table'
    ) -%}
    {% call statement('main') -%}
        create or replace table {{ computed }} as (
            {{ compiled_code }}
        )
    {%- endcall %}
    {% do adapter.store_relation(
        'floe_lake', target_relation, [], computed | string, 'incremental' if is_incremental() else 'full', config
    ) %}
    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}


{% macro is_incremental() -%}
    {#- dbt's own answers only for its materialization `incremental`. -#}
    {{ return(
        execute
        and model.config.materialized == 'iceberg'
        and not should_full_refresh()
        and load_relation(this) is not none
    ) }}
{%- endmacro %}
