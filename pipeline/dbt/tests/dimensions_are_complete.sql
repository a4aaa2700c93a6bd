-- A customer or product is in its mart from the first build after it was committed, with or without orders:
-- nothing of what the newest mart row proves to be there may be missing, and nothing may be there that
-- bronze does not have.
{{ config(tags=['full']) }}

with differences as (
    select
        'customers' as mart,
        coalesce(bronze.customer_id, gold.customer_id) as id
    from {{ source('bronze', 'customers') }} as bronze
    full outer join {{ ref('customers') }} as gold
        on bronze.customer_id = gold.customer_id
    where
        gold.customer_id is null
        and bronze.customer_id <= (select max(newest.customer_id) from {{ ref('customers') }} as newest)
        or bronze.customer_id is null
    union all
    select
        'products' as mart,
        coalesce(bronze.product_id, gold.product_id) as id
    from {{ source('bronze', 'products') }} as bronze
    full outer join {{ ref('products') }} as gold
        on bronze.product_id = gold.product_id
    where
        gold.product_id is null
        and bronze.product_id <= (select max(newest.product_id) from {{ ref('products') }} as newest)
        or bronze.product_id is null
)

select
    mart,
    id
from differences
